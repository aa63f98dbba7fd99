"""In which order chunks are sent, and what happens to those that are lost."""

from pathlib import Path

from covergen.core.album import Action, AlbumPlan
from covergen.core.reasons import Reason
from covergen.pipeline.engines.ray_queue import MOST_TRIES, Chunk, Ordered, Queue, chunks_of
from tests.values import make_album


def _album(number: int) -> Ordered:
    album = make_album(Path(), f"{number}.flac", key=str(number))
    plan = AlbumPlan(album=album, action=Action.PAINT, reason=Reason.NO_COVER)
    return Ordered(plan, (number,))


def _queue(albums: int, size: int) -> Queue:
    return Queue(chunks_of(map(_album, range(albums)), size))


def _numbers(*chunks: Chunk) -> list[tuple[int, ...]]:
    return [tuple(album.seeds[0] for album in chunk.albums) for chunk in chunks]


def test_no_more_is_taken_than_the_window_holds() -> None:
    taken = []

    def albums(count: int = 100) -> list[Ordered]:
        return [_album(number) for number in range(count)]

    queue = Queue(chunks_of((taken.append(one) or one for one in albums()), 2))
    while queue.has_next(window=3):
        queue.next()
    assert len(taken) == 6
    queue.unfinished.popleft()
    assert queue.has_next(window=3)
    assert _numbers(queue.next()) == [(6, 7)]


def test_it_is_done_when_the_last_chunk_was_yielded() -> None:
    queue = _queue(3, size=2)
    while queue.has_next(window=9):
        queue.next()
    assert _numbers(*queue.unfinished) == [(0, 1), (2,)]
    assert not queue.is_done
    queue.unfinished.clear()
    assert queue.is_done


def test_a_lost_chunk_is_sent_before_all_others() -> None:
    queue = _queue(6, size=2)
    assert queue.has_next(window=9)
    lost = queue.next()
    assert queue.has_next(window=9)
    queue.next()
    assert queue.retry(lost) is None
    assert queue.has_next(window=9)
    assert queue.next() is lost


def test_a_chunk_of_a_worker_that_was_unfit_was_not_lost() -> None:
    queue = _queue(2, size=2)
    for _ in range(MOST_TRIES + 1):
        assert queue.has_next(window=9)
        assert queue.retry(queue.next(), lost=False) is None
    assert _numbers(*queue.unfinished) == [(0, 1)]


def test_of_a_chunk_that_is_lost_again_and_again_only_the_cause_fails() -> None:
    queue = _queue(6, size=3)
    failed = []
    done = []
    while queue.has_next(window=9):
        chunk = queue.next()
        if (1,) in ((album.seeds[0],) for album in chunk.albums):  # the album that ends workers
            failed += [one for one in [queue.retry(chunk)] if one]
        else:
            done.append(chunk)
    assert _numbers(*failed) == [(1,)]
    assert failed[0].tries == MOST_TRIES
    assert sorted(_numbers(*done)) == [(0,), (2,), (3, 4, 5)]
    assert _numbers(*queue.unfinished) == [(0,), (1,), (2,), (3, 4, 5)]
    (row,) = failed[0].rows or ()
    assert row.vector is None
    ((index, outcome),) = row.undecoded
    assert index == 0
    assert f"{MOST_TRIES} workers ended" in outcome.message


def test_progress_that_was_shown_is_not_shown_again_when_albums_are_tried_alone() -> None:
    queue = _queue(3, size=3)
    assert queue.has_next(window=9)
    chunk = queue.next()
    chunk.embedded, chunk.painted = 2, 1.5
    queue.retry(chunk)
    assert queue.has_next(window=9)
    queue.retry(queue.next())
    assert [one.embedded for one in queue.unfinished] == [1, 1, 0]
    assert [one.painted for one in queue.unfinished] == [0.5, 0.5, 0.5]
