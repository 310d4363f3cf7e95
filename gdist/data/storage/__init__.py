"""Where data is stored: local files and object stores, found and opened the same way.

To add a kind of storage: one file with a ``Filesystem``, named in ``place.py``; ``local.py`` is the one to imitate.
"""

from gdist.data.storage.find import find_files
from gdist.data.storage.stored_file import StoredFile

__all__ = ["StoredFile", "find_files"]
