"""The project's folder and its database."""

import json
import shutil
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, func, inspect, select, text
from sqlalchemy.exc import DatabaseError

from samkit.annotate import database
from samkit.annotate.database import Database
from samkit.annotate.indexing import file_of, image_of, index
from samkit.annotate.project import open_project
from samkit.annotate.refusals import NotFound
from samkit.annotate.tables import Base, Image, Location, Transition
from samkit.errors import UsageError

MIGRATIONS = Path(database.__file__).with_name("migrations")
both = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)


def count(project, table):
    with project.database.read() as session:
        return session.scalar(select(func.count()).select_from(table))


@both
def test_migrations_lead_from_nothing_to_the_tables(project):
    with project.database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
        assert set(Base.metadata.tables) < set(inspect(connection).get_table_names())


@both
def test_a_database_of_an_older_samkit_keeps_its_logs(tmp_path, database_url):
    """From the first tables step by step, with rows in what only grows."""
    engine = create_engine(
        database_url.replace("postgresql:", "postgresql+psycopg:", 1)
        if database_url
        else f"sqlite:///{tmp_path / 'old.sqlite'}"
    )
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(
            text("INSERT INTO images VALUES ('i', 's', 0, 'a.png', 'PNG', 6, 4, 'skipped', 1, 0)")
        )
        connection.execute(
            text(
                "INSERT INTO transitions (image_id, before, after, note, seconds, editor, at)"
                " VALUES ('i', 'unlabelled', 'skipped', 'dark', 2, 'ann', 0)"
            )
        )
    engine.dispose()
    opened = Database(engine.url.render_as_string(hide_password=False))
    with opened.read() as session:
        (kept,) = session.scalars(select(Transition))
        assert (kept.note, kept.op, kept.version) == ("dark", None, None)
    with pytest.raises(DatabaseError, match="only grows"), opened.write() as session:
        session.execute(text("DELETE FROM transitions"))
    opened.close()


@both
def test_opening_again_keeps_everything(project, database_url):
    url = project.database.engine.url.render_as_string(hide_password=False)
    again = Database(url)
    with again.read() as session:
        assert session.scalar(select(func.count()).select_from(Image)) == 3
    again.close()


@both
def test_a_database_of_a_newer_samkit_is_refused(project):
    with project.database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(UsageError, match="newer samkit"):
        Database(project.database.engine.url.render_as_string(hide_password=False))


def test_sqlite_keeps_what_it_acknowledged(project):
    with project.database.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("x")
    with pytest.raises(UsageError, match="not a project"), open_project(tmp_path / "full"):
        pass
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"layout": 1}', '{"layout": "x"}'])
def test_a_damaged_project_is_refused_in_a_sentence(tmp_path, content):
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "project.json").write_text(content)
    with pytest.raises(UsageError), open_project(tmp_path / "p"):
        pass


def test_a_project_of_a_newer_layout_is_refused(project, tmp_path):
    values = json.loads((project.folder / "project.json").read_text())
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "project.json").write_text(json.dumps(values | {"layout": 2}))
    with pytest.raises(UsageError, match="newer samkit"), open_project(tmp_path / "p"):
        pass


def test_a_project_is_open_once(project):
    with pytest.raises(UsageError, match="open in another"), open_project(project.folder):
        pass


@pytest.mark.parametrize("url", ["nonsense", "mysql://a/b", "sqlite:////nowhere/at/all.sqlite"])
def test_a_database_that_cannot_be_is_refused_in_a_sentence(tmp_path, url):
    with pytest.raises(UsageError), open_project(tmp_path / "p", url):
        pass


@both
def test_photographs_are_known_by_their_content(project, photographs):
    assert count(project, Image) == 3
    again = index(project.database, [photographs])
    assert (again.new, again.known) == (0, 3)
    shutil.copy(photographs / "0.png", photographs / "copy.png")
    (photographs / "1.png").rename(photographs / "moved.png")
    later = index(project.database, [photographs])
    assert (later.new, later.known, later.broken) == (0, 4, {})
    assert (count(project, Image), count(project, Location)) == (3, 5)
    with project.database.read() as session:
        moved = session.scalar(select(Image).where(Image.name == "1.png"))
        assert file_of(session, moved) == photographs / "moved.png"


def test_a_file_with_new_content_is_a_new_image(project, photographs):
    (photographs / "0.png").write_bytes((photographs / "2.png").read_bytes())
    with project.database.read() as session:
        first = session.scalar(select(Image).where(Image.name == "0.png"))
        with pytest.raises(NotFound, match=r"0\.png was moved or changed"):
            file_of(session, first)
        with pytest.raises(NotFound):
            image_of(session, "nothing")
    assert index(project.database, [photographs]).new == 0


def test_what_is_no_picture_is_named_and_left_out(project, photographs):
    (photographs / "page.png").write_text("<html><script>alert(1)</script></html>")
    (photographs / "drawing.png").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (photographs / "empty.jpg").write_bytes(b"")
    result = index(project.database, [photographs])
    assert len(result.broken) == 3
    assert count(project, Image) == 3


@pytest.mark.parametrize("name", ["a\r\nb.png", "a\\b.png", "a\udcff.png"])
def test_what_has_a_name_that_no_export_can_hold_is_named_and_left_out(project, photographs, name):
    (photographs / "0.png").rename(photographs / name)
    result = index(project.database, [photographs])
    (sentence,) = result.broken.values()
    assert sentence.endswith("no export can hold; rename it.")


def test_sizes_are_those_of_the_upright_picture(project, photographs):
    from PIL import Image as Pillow

    exif = Pillow.Exif()
    exif[0x0112] = 6
    Pillow.new("RGB", (30, 20), "red").save(photographs / "phone.jpg", exif=exif)
    index(project.database, [photographs])
    with project.database.read() as session:
        phone = session.scalar(select(Image).where(Image.name == "phone.jpg"))
        assert (phone.width, phone.height, phone.kind) == (20, 30, "JPEG")
