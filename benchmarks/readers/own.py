"""gdist's rows: the classes that a job names, read through the feed that trains it, every row stamped for the audit."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from samples import BATCH, SEED, Samples

from gdist.data import Feed, Parquet, Text
from gdist.data.formats.file_set import open_readers
from gdist.data.index import Index
from gdist.data.storage import find_files
from gdist.engine.collective.alone import Alone
from gdist.worker.learn import learn

WINDOW = 256  # tokens
WINDOWS = 64  # a batch
READERS = 2  # threads, as TableRows reads what fits into memory


def shuffled(samples: Samples) -> Callable[[], int]:
    """The first epoch of a table that does not fit into the memory given, from opening it to its last batch."""

    def epoch() -> int:
        return _epoch(Feed(Parquet(path=samples.parquet, memory=samples.memory).open(), seed=SEED, batch_size=BATCH), 0)

    return epoch


def memory(samples: Samples) -> Callable[[], int]:
    """The second epoch of a table that fits: all rows lie in memory."""
    feed = Feed(Parquet(path=samples.parquet, memory="64GiB").open(), seed=SEED, batch_size=BATCH)
    feed.take(0, 0, 1)
    return lambda: _epoch(feed, 1)


def text(samples: Samples) -> Callable[[], int]:
    """Shuffled windows of a corpus of bytes, whose tokens are in the cache. Counts tokens."""
    feed = Feed(Text(path=samples.text, context=WINDOW).open(), seed=SEED, batch_size=WINDOWS)
    feed.take(0, 0, 1)
    return lambda: WINDOW * _epoch(feed, 1, batch=WINDOWS)


def csv(samples: Samples) -> Callable[[], int]:
    """All columns of a CSV file as Arrow tables, its blocks found and its types settled before."""
    (reader,) = open_readers("csv", find_files(samples.csv, suffixes=(".csv",)))

    def epoch() -> int:
        with ThreadPoolExecutor(READERS) as pool:
            reads = list(pool.map(lambda group: reader.read(group, reader.schema.names), range(len(reader.groups))))
        return sum(read.table.num_rows for read in reads)

    return epoch


def csv_first(samples: Samples) -> Callable[[], int]:
    """The same with nothing known before: the scan for blocks, and the types."""
    from os import utime

    utime(samples.csv)  # another version of the file: what the cache knows is of the one before
    return lambda: csv(samples)()


def statistics(samples: Samples) -> Callable[[], int]:
    """The pass that learns mean and deviation of every column."""

    def epoch() -> int:
        rows = Parquet(path=samples.parquet, memory=samples.memory, scale="standardize").open()
        learned = learn(rows.training(Index.all(len(rows))), rows.recipe, Alone())
        return int(learned.columns["x00"].statistics["rows"])

    return epoch


def _epoch(feed: Feed, epoch: int, *, batch: int = BATCH) -> int:
    """All batches of an epoch, one after the other; how many samples they had."""
    length, taken = len(feed), 0
    feed.follow((epoch, start, min(start + batch, length)) for start in range(0, length, batch))
    for start in range(0, length, batch):
        taken += feed.take(epoch, start, min(start + batch, length)).rows
    feed.close()
    return taken
