"""From what was typed to the pictures' prompts, and what helps with the typing."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from backend import LOCAL, Backend, InvalidRequest, Request, Settings, User
from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.network_cards import NetworkCards
from backend.image import infotext
from backend.prompt_library.library import PromptLibrary, UserPromptLibrary
from backend.prompt_library.styles_csv import Style
from backend.store.database import Database
from backend.store.jobs import Jobs
from backend.store.used_prompts import UsedPrompts
from tests.pure.test_model_kinds import told


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "easel.db")


@pytest.fixture
def book(tmp_path: Path, database: Database) -> UserPromptLibrary:
    write(tmp_path / "wildcards" / "colour.txt", "# of all kinds\nred\n\ngreen\nblue\n")
    write(tmp_path / "wildcards" / "Animals" / "cats.txt", "lion\n{big|small} tiger\n")
    write(tmp_path / "wildcards" / "windows.txt", "\ufeffone\r\ntwo\r\n")
    write(tmp_path / "models" / "wildcards" / "size.txt", "large\n")
    write(tmp_path / "models" / "wildcards" / "colour.txt", "never\n")
    book = PromptLibrary(tmp_path, NetworkCards(ModelCatalog([tmp_path / "models"])), UsedPrompts(database)).as_(LOCAL)
    book.save_style(Style("Oil", "{prompt}, oil on {canvas|wood}", "photo"))
    book.save_style(Style("Plain", "flat", ""))
    return book


def request(prompt: str = "a cat", **more: object) -> Request:
    return Request.parse({"prompt": prompt, "seed": 7, "variation_seed": 1, **more})


def prompts(found: Request) -> list[str]:
    return [found.of_image(index).prompt for index in range(found.count)]


def complain(book: UserPromptLibrary, asked: Request) -> str:
    with pytest.raises(InvalidRequest) as error:
        book.resolved(asked)
    return str(error.value)


def test_a_plain_prompt_is_the_same_request(book: UserPromptLibrary) -> None:
    asked = request(" [a|b] (c:1.2) <lora:x:1>  {d} { \\{e|f\\} AND g", negative_prompt="{", batch_count=3)
    assert book.resolved(asked) is asked


def test_each_picture_draws_from_its_own_seed(book: UserPromptLibrary) -> None:
    found = book.resolved(request("a __colour__ {cat|dog}", negative_prompt="{x|y}", batch_count=3, batch_size=8))
    assert found.count == 24 and found.prompt == "a __colour__ {cat|dog}"
    assert len(set(prompts(found))) == 6
    alone = found.of_image(5)
    again = book.resolved(request("a __colour__ {cat|dog}", negative_prompt="{x|y}", batch_count=1).replace(seed=alone.seed)).of_image(0)
    assert (again.prompt, again.negative_prompt) == (alone.prompt, alone.negative_prompt)
    assert alone.template == "a __colour__ {cat|dog}" and alone.negative_template == "{x|y}"
    assert (alone.styles, alone.prompts, alone.count) == ((), (), 1)


def test_what_a_picture_was_drawn_from_can_be_asked_again(book: UserPromptLibrary) -> None:
    one = book.resolved(request("{a|b} \\{c|d\\} __colour__")).of_image(0)
    assert book.resolved(one) is one
    assert infotext.read(infotext.write(one)).values["template"] == "{a|b} \\{c|d\\} __colour__"


def test_every_combination_once_for_each_of_the_batch(book: UserPromptLibrary) -> None:
    found = book.resolved(request("{a|b} __colour__", negative_prompt="{x|y}", prompt_expansion="Combinatorial", batch_count=2))
    both = [(found.of_image(i).prompt, found.of_image(i).negative_prompt) for i in range(found.count)]
    assert len(both) == 24 and both[:12] == both[12:] and len(set(both)) == 12
    assert len({found.of_image(i).seed for i in range(24)}) == 24


def test_off_leaves_all_as_it_stands(book: UserPromptLibrary) -> None:
    asked = request("{a|b} __unknown__", prompt_expansion="Off")
    assert book.resolved(asked) is asked


def test_styles_are_merged_into_all_prompts(book: UserPromptLibrary) -> None:
    found = book.resolved(request("a cat", styles=["Plain", "Oil"], negative_prompt="dog", enable_hr=True, hr_prompt="a lion", batch_count=4))
    first = found.of_image(0)
    assert first.prompt in ("a cat, flat, oil on canvas", "a cat, flat, oil on wood")
    assert first.negative_prompt == "dog, photo"
    assert first.hr_prompt == first.prompt.replace("cat", "lion") and first.hr_negative_prompt == ""
    assert first.template == "a cat, flat, oil on {canvas|wood}"
    assert len(set(prompts(found))) == 2


def test_styles_alone_make_one_text_for_any_number_of_pictures(book: UserPromptLibrary) -> None:
    found = book.resolved(request("a cat", styles=["Plain"], batch_count=100, batch_size=10))
    assert found.prompts == ("a cat, flat",) and found.count == 1000
    assert found.of_image(999).prompt == "a cat, flat" and found.of_image(0).template == ""


def test_both_passes_draw_alike(book: UserPromptLibrary) -> None:
    text = "{a|b|c|d|e|f} __colour__"
    found = book.resolved(request(text, enable_hr=True, hr_prompt=text, batch_count=9))
    assert [found.of_image(i).hr_prompt for i in range(9)] == [""] * 9
    found = book.resolved(request(text, enable_hr=True, hr_prompt=f"{text} sharp", batch_count=9))
    assert [found.of_image(i).hr_prompt for i in range(9)] == [f"{text} sharp" for text in prompts(found)]


@pytest.mark.parametrize(("asked", "field", "word"), [
    (request("__nothing__"), "prompt", "__nothing__"),
    (request(negative_prompt="__nothing__"), "negative_prompt", "__nothing__"),
    (request(enable_hr=True, hr_prompt="__nothing__"), "hr_prompt", "__nothing__"),
    (request("__../../easel__"), "prompt", "is not there"),
    (request("__/etc/passwd__"), "prompt", "is not there"),
    (request(styles=["Oil", "Gone", "None"]), "styles", "Gone, None"),
    (request("{1|2|3|4|5|6|7|8|9|0}" * 4, prompt_expansion="Combinatorial", batch_size=2), "prompt", "20,000"),
    (request("{1|2}" * 60, prompt_expansion="Combinatorial"), "prompt", "more than 1,000,000,000,000"),
    (request("{1|2|3|4|5|6|7|8|9|0}" * 2, prompt_expansion="Combinatorial", init_image="0" * 64, loopback_loops=32), "prompt", "3,200"),
    (request("{a|" * 60 + "}" * 60), "prompt", "deep"),
])  # fmt: skip
def test_what_cannot_be_resolved_names_its_field(book: UserPromptLibrary, asked: Request, field: str, word: str) -> None:
    sentence = complain(book, asked)
    assert sentence.startswith(f"{field}: ") and word in sentence


def test_wildcards_of_a_detailer_are_filled_in_for_each_picture(book: UserPromptLibrary) -> None:
    detailers = [{"prompt": "__colour__ off"}, {"enabled": True, "prompt": "[SKIP][SEP]a __colour__ eye", "negative_prompt": "{a|b}"}]
    found = book.resolved(Request.parse({"prompt": "a cat", "detailers": detailers, "batch_count": 12, "seed": 1, "variation_seed": 1}))
    each = [found.of_image(number).detailers for number in range(12)]
    assert {second.prompt for _, second in each} == {f"[SKIP][SEP]a {colour} eye" for colour in ("red", "green", "blue")}
    assert {second.negative_prompt for _, second in each} == {"a", "b"} and {first.prompt for first, _ in each} == {"__colour__ off"}
    assert [found.of_image(number).prompt for number in (0, 11)] == ["a cat"] * 2 and found.of_image(3).detailer_texts == ()
    again = book.resolved(Request.parse({"prompt": "a cat", "detailers": detailers, "seed": found.of_image(5).seed, "variation_seed": 1}))
    assert again.of_image(0).detailers == each[5], "by the picture's own seed"
    every = book.resolved(Request.parse({"prompt": "a cat", "detailers": detailers, "prompt_expansion": "Combinatorial", "seed": 1, "variation_seed": 1}))
    assert every.count == 6
    off = Request.parse({"prompt": "a cat", "detailers": detailers, "prompt_expansion": "Off", "seed": 1, "variation_seed": 1})
    assert book.resolved(off).of_image(0).detailers == off.detailers
    with pytest.raises(InvalidRequest, match=r"detailers\[0\].prompt: .*__gone__"):
        book.resolved(Request.parse({"detailers": [{"enabled": True, "prompt": "__gone__"}], "seed": 1, "variation_seed": 1}))


def test_wildcard_files_as_people_have_them(book: UserPromptLibrary, tmp_path: Path) -> None:
    def all_of(text: str) -> list[str]:
        return prompts(book.resolved(request(text, prompt_expansion="Combinatorial")))

    assert all_of("__windows__") == ["one", "two"]
    assert all_of("__COLOUR__") == ["red", "green", "blue"]         # the data folder's comes before the models'
    assert all_of("__size__ __animals/*__") == ["large lion", "large big tiger", "large small tiger"]
    assert all_of("{2$$__colour__}")[:3] == ["red, green", "red, blue", "green, red"]
    write(tmp_path / "wildcards" / "colour.txt", "pink\n")
    assert all_of("__colour__ x") == ["pink x"]
    write(tmp_path / "wildcards" / "loop.txt", "a\n__other__\n")
    write(tmp_path / "wildcards" / "other.txt", "__loop__\n")
    assert "__loop__ -> __other__ -> __loop__" in complain(book, request("__loop__"))
    write(tmp_path / "wildcards" / "empty.txt", "# nothing\n\n")
    assert "no lines" in complain(book, request("__empty__"))


@pytest.mark.slow
def test_long_wildcard_files_are_quick(book: UserPromptLibrary, tmp_path: Path) -> None:
    write(tmp_path / "wildcards" / "many.txt", "\n".join(f"{i % 7}::word {i}" for i in range(100_000)))
    book.resolved(request("__many__"))
    started = time.process_time()
    found = book.resolved(request("a __many__ and {3$$__many__}", batch_count=500))
    assert len(set(prompts(found))) == 500
    assert time.process_time() - started < 5


def test_texts_that_grow_too_long(book: UserPromptLibrary, tmp_path: Path) -> None:
    write(tmp_path / "wildcards" / "long.txt", "word " * 10_000)
    assert "longer than" in complain(book, request("__long__ __long__ __long__ {a|b}"))
    assert "too long to be kept" in complain(book, request("__long__ {a|b}", batch_count=1000))


def test_pictures_settings_name_their_styles_again(book: UserPromptLibrary) -> None:
    made = book.resolved(request("a cat", styles=["Plain"], negative_prompt="dog", steps=9)).of_image(0)
    text = infotext.write(made)
    for exact in (None, __import__("json").dumps(made.to_json())):
        values = infotext.read(text, exact, book.as_theirs()).values
        assert (values["prompt"], values["negative_prompt"], values["styles"], values["steps"]) == ("a cat", "dog", ("Plain",), 9)
        assert infotext.read(text, exact, [{"name": "Other", "prompt": "z"}]).values["prompt"] == "a cat, flat"
    assert infotext.read("a cat, flat", styles=book.as_theirs()).values == {"prompt": "a cat, flat", "negative_prompt": ""}


# ---- prompts used before ----


def test_used_prompts(tmp_path: Path, database: Database) -> None:
    jobs, library = Jobs(database), PromptLibrary(tmp_path, NetworkCards(ModelCatalog(())), UsedPrompts(database))
    ann, eve = (library.as_(User(name, name)) for name in ("ann", "eve"))
    for prompt, negative, owner in (("a cat", "", "ann"), ("a dog", "blurry", "ann"), ("Ein ÄFFCHEN", "", "ann"), ("a cat", "", "ann"), ("a bird", "", "bob"), ("", "", "ann")):
        jobs.add_all([request(prompt, negative_prompt=negative)], owner)
    assert [used.prompt for used in ann.used()] == ["a cat", "Ein ÄFFCHEN", "a dog"]
    assert [used.prompt for used in ann.used(limit=2)] == ["a cat", "Ein ÄFFCHEN"]
    assert [used.prompt for used in ann.used("BLUR dog")] == ["a dog"]
    assert [used.prompt for used in ann.used("äff")] == ["Ein ÄFFCHEN"]
    assert ann.used("%") == [] and eve.used() == []


# ---- what may be typed next ----


def names(book: UserPromptLibrary, text: str, kind: str = "word") -> list[str]:
    return [one.name for one in book.complete(text, kind)[1]]  # type: ignore[arg-type]


def test_files_of_networks(book: UserPromptLibrary, tmp_path: Path) -> None:
    for name in ("loras/Detail.safetensors", "Lora/style/anime.ckpt", "loras/notes.txt", "embeddings/EasyNegative.pt"):
        write(tmp_path / "models" / name, "")
    assert names(book, "", "lora") == ["anime", "Detail"]
    assert [one.insert for one in book.complete("det", "lora")[1]] == ["<lora:Detail:1>"]
    write(tmp_path / "models" / "loras/Detail.json", '{"activation text": "fine, detailed", "preferred weight": 0.65}')
    assert [(one.insert, one.words) for one in book.complete("det", "lora")[1]] == [("<lora:Detail:0.65>", ("fine, detailed",))]
    book._library.suggestions._cards.forget("lora")
    assert names(book, "DETAILED", "lora") == ["Detail"], "by its trigger words, too"
    told(tmp_path / "models" / "loras/v3 #final.safetensors", {}, ss_output_name="inkwash")
    told(tmp_path / "models" / "loras/a #b.safetensors", {})
    told(tmp_path / "models" / "loras/old.safetensors", {}, ss_output_name="brush_v1")
    for kind in ("lora", "embedding"):
        book._library.suggestions._cards.forget(kind)
    assert [(one.name, one.insert, one.note) for one in book.complete("BRUSH_v", "lora")[1]] == [("old", "<lora:old:1>", "brush_v1")], "what its maker called it"
    assert [one.insert for one in book.complete("", "lora")[1]] == ["<lora:anime:1>", "<lora:Detail:0.65>", "<lora:old:1>", "<lora:inkwash:1>"], "only what a prompt can name"
    assert names(book, "easy") == ["EasyNegative"]
    assert names(book, "", "wildcard") == ["Animals/cats", "colour", "size", "windows"]
    assert [one.insert for one in book.complete("cats", "wildcard")[1]] == ["__Animals/cats__"]
    assert [(one.kind, one.insert) for one in book.complete("oi", "word")[1]] == [("style", "")]
    assert names(book, "") == names(book, "  ") == []


def test_tags(book: UserPromptLibrary, tmp_path: Path) -> None:
    write(tmp_path / "tags.csv", 'name,category,count,aliases\n1girl,0,6000000,"1girls,sole_female"\nlong_hair,0,4000000,\nhairband,0,500000,/hb\n'
                                 'hair,0,90,\nsaber_(fate),4,30000,"artoria,アルトリア"\n^_^,0,9000,\nbroken\n"unclosed')
    write(tmp_path / "tags" / "own.csv", "hairy thing,0,7\nlong_hair,0,1\n")
    assert names(book, "hair") == ["hairband", "hair", "hairy thing", "long hair"]
    assert names(book, "long h") == names(book, "LONG_H") == ["long hair"]
    assert [(one.name, one.note, one.count) for one in book.complete("sole", "word")[1]] == [("1girl", "sole female", 6_000_000)]
    assert [one.insert for one in book.complete("artoria", "word")[1]] == ["saber \\(fate\\)"]
    assert names(book, "アル") == ["saber (fate)"]
    assert book.complete("a girl with long h", "word")[0] == "long h"
    assert names(book, "1girl long h") == ["long hair"]
    assert book.complete("nothing of this", "word") == ("", [])
    assert [one.insert for one in book.complete("^_", "word")[1]] == ["^_^"]
    write(tmp_path / "tags.csv", "hairpin,0,5\n")
    assert names(book, "hairp") == ["hairpin"]


def test_a_misspelt_word_finds_the_tags_that_are_spelt_nearly_so(book: UserPromptLibrary, tmp_path: Path) -> None:
    write(tmp_path / "tags.csv", "twintails,0,900\ntwin_braids,0,800\nlighthouse,0,70\ntwintail_girl,0,60\n")
    assert names(book, "twintials") == ["twintails"]
    assert names(book, "a girl, lihgthouse") == ["lighthouse"]
    assert book.complete("an old lihgthouse", "word")[0] == "lihgthouse"
    assert names(book, "twin") == ["twintails", "twin braids", "twintail girl"], "what begins so comes alone"
    assert names(book, "twni") == [] and names(book, "fisherman") == []


@pytest.mark.parametrize(("values", "count"), [
    ({"prompt": "a {red|blue} __colour__"}, 6), ({"prompt": "a {red|blue}", "batch_count": 3}, 6), ({"prompt": "a cat", "batch_size": 2}, 2),
    ({"prompt": "a", "negative_prompt": "{x|y|z}"}, 3), ({"prompt": "a", "styles": ["Oil"]}, 2), ({"prompt": "a {red|blue} # or {a|b|c}"}, 2),
    ({"prompt": "a {red|blue}", "prompt_expansion": "Random"}, 1), ({"prompt": "{1|2|3|4|5|6|7|8|9|0}" * 5}, 100_000),
])
def test_pictures_are_counted_before_there_is_a_job(book: UserPromptLibrary, values: dict[str, object], count: int) -> None:
    assert book.picture_count(Request.parse({"prompt_expansion": "Combinatorial"} | values)) == count


@pytest.mark.slow
def test_many_tags_are_searched_in_no_time(book: UserPromptLibrary, tmp_path: Path) -> None:
    write(tmp_path / "tags.csv", "\n".join(f'tag{i:06x}_of_{i * 7919 % 99991:05x},0,{2_000_000 // (i + 1)},"alias{i}_a,other{i}"' for i in range(150_000)))
    book.complete("tag", "word")
    for text in ("ta", "tag0249ef", "of_1", "zzz", "alias149999", "other", "no such words here", "of", "tag0249fe_of_6412", "nothing_like_it"):
        times = []
        for _ in range(3):
            started = time.thread_time()
            book.complete(text, "word")
            times.append(time.thread_time() - started)
        assert min(times) < 0.05, text


# ---- through the front door ----


def test_submitted_requests_are_resolved(tmp_path: Path) -> None:
    write(tmp_path / "wildcards" / "colour.txt", "red\n")
    backend = Backend(Settings(data=tmp_path), start_workers=False)
    try:
        ann = backend.as_(backend.user("ann"))
        job = ann.submit({"prompt": "a __colour__ {cat|dog}", "checkpoint": "demo", "batch_count": 4})
        assert len(job.request.prompts) == job.request.count == 4
        write(tmp_path / "wildcards" / "colour.txt", "blue\n")
        kept = ann.job(job.id).request
        assert all(kept.of_image(i).prompt in ("a red cat", "a red dog") for i in range(4))
        assert [used.prompt for used in ann.prompt_library.used()] == ["a __colour__ {cat|dog}"]
    finally:
        backend.close()


def test_comments_are_not_drawn(book: UserPromptLibrary) -> None:
    typed = "a cat # the best\n# all of this line\non a mat#"
    found = book.resolved(request(typed, negative_prompt="bad # note"))
    assert prompts(found) == ["a cat\non a mat"] and found.of_image(0).negative_prompt == "bad"
    assert (found.prompt, found.template, found.negative_template) == (typed, typed, "bad # note")
    text = infotext.write(found.of_image(0))
    assert infotext.read(text).values["prompt"] == "a cat\non a mat" and "Easel:" not in text and "Template: " in text
    off = request(typed, prompt_comments=False)
    assert book.resolved(off) is off
    drawn = infotext.read(infotext.write(off)).values
    assert drawn["prompt_comments"] is False and drawn["prompt"] == typed


def test_yaml_wildcards(book: UserPromptLibrary, tmp_path: Path) -> None:
    write(tmp_path / "wildcards" / "clothes.yaml", "clothes:\n  formal: &f\n    - suit\n    - 2::tie\n  all: [__formal__, 7, yes]\n  one: hat\nalias: *f\n")
    write(tmp_path / "wildcards" / "deep" / "more.json", '{"deep": {"x": ["__./y__"], "y": ["z"]}}')
    write(tmp_path / "wildcards" / "broken.yml", "a: [")
    names = book._library.wildcards.names()
    assert {"clothes/formal", "clothes/all", "clothes/one", "alias", "deep/x", "broken"} <= set(names)
    found = {text for seed in range(60) for text in prompts(book.resolved(request("__clothes/all__", seed=seed)))}
    assert found == {"suit", "tie", "7"}
    assert prompts(book.resolved(request("__clothes/one__ __deep/x__"))) == ["hat z"]
    assert "no valid YAML" in complain(book, request("__broken__"))


def test_a_yaml_file_of_references_cannot_stall(book: UserPromptLibrary, tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"] + [f"a{n}: &a{n} {{l: [" + ", ".join(f"*a{n - 1}" for _ in range(9)) + "]}" for n in range(1, 9)]
    write(tmp_path / "wildcards" / "bomb.yaml", "\n".join(line.replace("[x", "{l: [x").replace("x]", "x]}") if n == 0 else line for n, line in enumerate(lines)))
    started = time.process_time()
    complain(book, request("__bomb__"))
    assert time.process_time() - started < 5


def test_names_beside_a_file(book: UserPromptLibrary, tmp_path: Path) -> None:
    write(tmp_path / "wildcards" / "Animals" / "all.txt", "__cats__\n__./cats__\n__../size__\n")
    found = {text for seed in range(60) for text in prompts(book.resolved(request("__animals/all__", seed=seed)))}
    assert found == {"lion", "big tiger", "small tiger", "large"}
    assert prompts(book.resolved(request("__cats__"))) == prompts(book.resolved(request("__animals/cats__"))), "any folder counts last"
    assert "which is not there" in complain(book, request("__./cats__"))
    write(tmp_path / "wildcards" / "Animals" / "colour.txt", "mine\n")
    write(tmp_path / "wildcards" / "Animals" / "c.txt", "__colour__\n")
    assert prompts(book.resolved(request("__animals/c__"))) != ["mine"], "a name from the top counts first"


def test_a_dead_line_refuses_only_who_draws_it(book: UserPromptLibrary, tmp_path: Path) -> None:
    write(tmp_path / "wildcards" / "half.txt", "fine\n__gone__\n")
    found = set()
    for seed in range(30):
        try:
            found |= set(prompts(book.resolved(request("__half__", seed=seed))))
        except InvalidRequest as error:
            found.add(error.problems[0].field)
    assert found == {"fine", "prompt"}


def test_what_is_taken_in_turn_goes_through_the_batch(book: UserPromptLibrary) -> None:
    assert prompts(book.resolved(request("{@a|b|c} {!x|y}", batch_count=6))) == ["a x", "b y", "c x", "a y", "b x", "c y"]
    assert prompts(book.resolved(request("{~a|a} {x|y}", prompt_expansion="Combinatorial"))) == ["a x", "a y"]


def test_comments_in_wildcard_files(book: UserPromptLibrary, tmp_path: Path) -> None:
    write(tmp_path / "wildcards" / "told.txt", "red # warm\n  # nothing\n")
    assert prompts(book.resolved(request("__told__"))) == ["red"]
