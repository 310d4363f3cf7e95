"""File formats: each module has ``open_reader(file, *, options)``, a Reader of one file, row group by row group."""
