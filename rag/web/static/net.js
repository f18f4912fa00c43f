// What the page asks of the server. A refusal is thrown as {status, told}; without a connection there is no status.

/** `path` fetched as JSON, or sent with `body`; `method` is GET without a body, else POST. */
export async function call(path, body, method) {
  return (await send(path, body, method)).json();
}

/** The response itself. Throws {status, told}. */
export async function send(path, body, method, signal) {
  const given = body === undefined ? {} : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  const response = await fetch(path, { method: method ?? (body === undefined ? "GET" : "POST"), cache: "no-store", signal, ...given });
  if (response.ok) return response;
  const said = await response.json().catch(() => ({}));
  throw { status: response.status, told: said.error?.message ?? said.detail };
}

/** The lines of JSON of a response, as they come. */
export async function* lines(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    const whole = (rest + part.value).split("\n");
    rest = whole.pop();
    for (const line of whole) yield JSON.parse(line);
  }
}

/** What to tell a person of a failure. */
export const told = (failure, words) => (failure.status === 401 ? words.signed_out : failure.told ?? words.failed);
