"""The one seam through which every statement of the library runs, and what lies beneath it."""
