"""How Sphinx builds the documentation: pages in Markdown, the API reference from the docstrings."""

from __future__ import annotations

from importlib.metadata import version as installed_version

project = "hotelcore"
author = "hotelcore contributors"
copyright = "hotelcore contributors"
version = release = installed_version("hotelcore")

extensions = [
    "myst_parser",
    "sphinx.ext.apidoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build", "reference/api/modules.rst"]

html_theme = "furo"
html_title = f"hotelcore {release}"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# A name in single backticks in a docstring links to what it names.
default_role = "py:obj"

# One page for each module that exists; private ones and the migration scripts are left out.
apidoc_modules = [
    {
        "path": "../src/hotelcore",
        "destination": "reference/api",
        "exclude_patterns": ["**/__main__.py", "**/migrations/**"],
        "separate_modules": True,
        "module_first": True,
        "automodule_options": {"members", "show-inheritance", "undoc-members"},
    }
]
# SQLAlchemy describes these attributes with links into its own pages.
autodoc_default_options = {"exclude-members": "cache_ok, inherit_cache"}
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
