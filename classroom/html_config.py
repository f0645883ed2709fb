"""How `jupyter nbconvert` makes pages to hand out: complete in themselves, for a room without a network.

uv run jupyter nbconvert --config classroom/html_config.py

Without this, a page asks the internet for two scripts, and a browser that gets no answer waits for them before it shows
anything. No lesson needs them: none has a formula, and a panel is stored as a picture with its words.
"""

c = get_config()  # noqa: F821 (nbconvert brings it)
c.NbConvertApp.export_format = "html"
c.NbConvertApp.notebooks = ["notebooks/*.ipynb"]
c.FilesWriter.build_directory = "work/html"
c.HTMLExporter.require_js_url = ""
c.HTMLExporter.mathjax_url = ""
