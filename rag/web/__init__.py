"""The faces in the browser: `portal` assembles and guards the web app, `chat` is the page on Gradio."""
