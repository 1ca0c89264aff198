"""The label tab's endpoints, as a browser asks them."""

import errno
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import cv2
import numpy as np
import pytest
from starlette.testclient import TestClient

from endoforge.view.labelling import keeping
from endoforge.view.labelling.label_api import LabelTab
from endoforge.view.live import Hub
from endoforge.view.security import MOST_LABEL_BODY, watch_token
from endoforge.view.server import make_app
from endoforge.view.training.api import TrainingTab
from tests.view.conftest import small_config

from .runs import drawn, edit, guess, label_of, write_run

ORIGIN = "http://localhost"
NONE = {"If-Match": '"none"'}


class NoHub:
    """In the place of the live view."""

    def open(self) -> None: ...

    def close(self) -> None: ...

    session = SimpleNamespace(clips=None)

    async def serve(self, _: Any) -> None: ...


def client_of(folder: Path, token: str | None = None, **headers: str) -> TestClient:
    config = small_config(folder)
    app = make_app(
        cast(Hub, NoHub()),
        TrainingTab(config),
        LabelTab(config),
        host="127.0.0.1",
        port=80,
        token=token,
    )
    return TestClient(app, base_url=ORIGIN, headers={"Origin": ORIGIN, **headers})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "captures"


@pytest.fixture
def web(tmp_path: Path) -> Iterator[TestClient]:
    with client_of(tmp_path) as client:
        yield client


def body(*polyps: Any, **more: Any) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(edit(*polyps, **more).model_dump_json())
    return shown


def put(web: TestClient, place: str, value: Any, **headers: str) -> Any:
    return web.put(f"/api/labels/{place}", json=value, headers=headers or NONE)


def test_from_the_list_of_runs_to_a_label_that_is_kept(web, root):
    run = write_run(root, [[guess(10, 12, 40, 44)], None], source="predicted")
    listing = web.get("/api/labels").json()
    assert listing["runs"][0]["counts"] == {"predicted": 1, "unlabelled": 1}
    frames = web.get(f"/api/labels/{run.name}").json()["frames"]
    assert [frame["status"] for frame in frames] == ["predicted", "unlabelled"]
    view = web.get(f"/api/labels/{run.name}/0").json()
    value = {"polyp_labels": view["polyp_labels"], "reviewed": True}
    kept = put(web, f"{run.name}/0", value, **{"If-Match": f'"{view["digest"]}"'})
    assert (kept.status_code, kept.json()["status"]) == (200, "reviewed")
    assert label_of(run, 0)["polyp_labels"][0]["score"] == 0.6
    carried = web.get(f"/api/labels/{run.name}/1/carried").json()
    assert set(carried) == {"polyp_labels", "why"}


def test_a_picture_comes_as_wide_as_is_asked_and_no_wider_than_it_is(web, root):
    run = write_run(root, [None])
    cv2.imwrite(str(run / "images/frame_00000.png"), np.zeros((2160, 3840, 3), np.uint8))
    for query, width in (("?width=640", 640), ("", 3840), ("?width=99999", 3840), ("?width=1", 32)):
        answer = web.get(f"/api/labels/{run.name}/0/picture.jpg{query}")
        assert answer.headers["content-type"] == "image/jpeg"
        decoded = cv2.imdecode(np.frombuffer(answer.content, np.uint8), 1)
        assert decoded is not None
        assert decoded.shape[1] == width
    assert web.get(f"/api/labels/{run.name}/0").json()["width"] == 3840


def test_a_conflict_is_answered_with_what_is_there(web, root):
    run = write_run(root, [None])
    put(web, f"{run.name}/0", body(drawn(1, 1, 20, 20)))
    answer = put(web, f"{run.name}/0", body(drawn(5, 5, 30, 30)))
    assert answer.status_code == 412
    assert answer.json()["polyp_labels"][0]["bbox_px"] == [1, 1, 20, 20]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "the body"),
        ({"polyp_labels": []}, "reviewed: Field required"),
        ({"polyp_labels": [], "reviewed": True, "path": "/etc"}, "path: Extra inputs"),
        ({"polyp_labels": [{"bbox_px": [1, 2, 3]}], "reviewed": True}, "polyp_labels.0"),
        ({"polyp_labels": [{}] * 501, "reviewed": True}, "at most 500"),
        (body(drawn(1, 1, 1, 9)), "no area"),
        (body(drawn(1, 1, 9, 9).model_copy(update={"score": 3.0})), "a score of 3"),
        (body(drawn(1, 1, 9, 9).model_copy(update={"label": "x" * 300})), "at most 200"),
    ],
)
def test_what_is_no_label_is_refused_in_words(web, root, value, words):
    run = write_run(root, [None])
    answer = put(web, f"{run.name}/0", value)
    assert answer.status_code == 400
    assert words in answer.json()["error"]
    assert not list((run / "labels").iterdir())


def test_a_change_must_name_what_it_began_from(web, root):
    run = write_run(root, [None])
    for header in ({"If-Match": "none"}, {"If-Match": ""}, {"X": "y"}):
        assert put(web, f"{run.name}/0", body(), **header).status_code == 400


def test_only_pages_of_this_server_and_with_the_whole_token_may_write(tmp_path, root):
    run = write_run(root, [None])
    place = f"{run.name}/0"
    with client_of(tmp_path, Origin="http://elsewhere") as web:
        assert put(web, place, body()).status_code == 403
    with client_of(tmp_path, "s3cret") as web:
        assert put(web, place, body()).status_code == 401
        watches = f"{place}?token={watch_token('s3cret')}"
        assert web.get(f"/api/labels/{watches}").status_code == 200
        refused = put(web, watches, body())
        assert (refused.status_code, refused.json()["error"]) == (
            403,
            "this address is for watching only",
        )
        web.cookies.clear()
        assert put(web, f"{place}?token=s3cret", body()).status_code == 200


def test_bodies_have_a_bound(web, root):
    run = write_run(root, [None])
    large = body() | {"note": "x" * MOST_LABEL_BODY}
    assert put(web, f"{run.name}/0", large).status_code == 413
    small = web.post("/api/learning/start", json={"start": "x" * 5000})
    assert small.status_code == 413, "and all but labels have the small one"


@pytest.mark.parametrize(
    "place", ["run_none/0", "..%2fcaptures/0", "%2e%2e/0", "run_1%2f..%2f../0", "run_x%00/0"]
)
def test_names_never_leave_the_root(web, root, place):
    write_run(root, [None])
    for answer in (web.get(f"/api/labels/{place}"), put(web, place, body())):
        assert answer.status_code == 404


def test_a_frame_that_isnt_there_gets_no_label(web, root):
    run = write_run(root, [None])
    for number in (7, 2**63, 10**22):
        assert put(web, f"{run.name}/{number}", body()).status_code == 404
    assert not list((run / "labels").iterdir())


def test_a_full_disk_is_said_and_leaves_the_label_as_it_was(web, root, monkeypatch):
    run = write_run(root, [[guess(10, 12, 40, 44)]])
    digest = web.get(f"/api/labels/{run.name}/0").json()["digest"]
    before = label_of(run, 0)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(keeping, "write_json_atomic", full)
    answer = put(web, f"{run.name}/0", body(), **{"If-Match": f'"{digest}"'})
    assert (answer.status_code, answer.json()["error"]) == (500, "No space left on device")
    assert label_of(run, 0) == before


def test_a_training_on_nothing_is_refused_in_words(web, root):
    write_run(root, [None])
    view = web.get("/api/learning").json()
    assert (view["state"], view["reviewed"], view["frames_needed"]) == ("idle", 0, 10)
    assert web.post("/api/learning/start", json={"start": "all"}).status_code == 400
    assert web.get("/api/learning/0/old.jpg").status_code == 404
