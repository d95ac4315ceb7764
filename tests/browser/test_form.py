"""The form, before anything is drawn: counters, sizes, seeds, weights, wrong fields, what a refresh keeps."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Route, expect
from safetensors.numpy import save_file

from tests.browser.conftest import Stage
from tests.browser.house import Past
from tests.browser.studio import PATIENCE, Studio

INFOTEXT = """a blue star, white background
Negative prompt: red
Steps: 11, Sampler: Euler a, Schedule type: Karras, CFG scale: 3.5, Seed: 77, Size: 192x64"""

APPLIED = """async tab => { const form = easel.form(tab), told = [form.values.width], pause = time => new Promise(done => setTimeout(done, time));
  easel.on('form', one => { if (one === form && one.values.width !== told.at(-1)) told.push(one.values.width); });
  const until = async reached => { while (!reached()) await pause(2); };
  for (const width of [256, 384, 256]) { form.apply({ width }); await until(() => !('width' in form.pending)); }
  await until(() => !form.fillings);
  await pause(1500);
  return { told: told.slice(1), at_the_end: [form.values.width, form.fillings] }; }"""

PASTE = """picture => { const clipboardData = new DataTransfer(), bytes = Uint8Array.from(atob(picture), letter => letter.charCodeAt(0));
  clipboardData.items.add(new File([bytes], 'pasted.png', { type: 'image/png' }));
  document.body.dispatchEvent(new ClipboardEvent('paste', { bubbles: true, cancelable: true, clipboardData })); }"""


def square(size: int = 40) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (size, size), "red").save(out, "PNG")
    return out.getvalue()


def select(studio: Studio, start: int, end: int) -> None:
    studio.field("prompt").evaluate(f"area => {{ area.focus(); area.setSelectionRange({start}, {end}); }}")


def selected(studio: Studio) -> str:
    return studio.field("prompt").evaluate("area => area.value.slice(area.selectionStart, area.selectionEnd)")


def test_defaults_fit_the_demo_and_an_example_fills_the_prompt(past: Past, stage: Studio) -> None:
    stage.shows(width=128, height=128, cfg_scale=4, seed=-1, prompt="")
    example = stage.page.locator(".example").first
    text = example.inner_text()
    example.click()
    stage.shows(prompt=text)


def test_tokens_are_counted_while_typing(desk: Studio) -> None:
    counter = desk.page.locator("#txt2img_prompt_tokens")
    expect(counter).to_contain_text("0/75")
    desk.field("prompt").press_sequentially("a red circle")
    expect(counter).to_contain_text("3/75")


def test_ctrl_up_and_down_change_the_weight_of_the_selection(desk: Studio) -> None:
    desk.fill(prompt="a red circle on blue")
    select(desk, 2, 12)
    desk.page.keyboard.press("Control+ArrowUp")
    desk.shows(prompt="a (red circle:1.1) on blue")
    assert selected(desk) == "red circle"
    desk.page.keyboard.press("Control+ArrowUp")
    desk.shows(prompt="a (red circle:1.2) on blue")
    for _ in range(2):
        desk.page.keyboard.press("Control+ArrowDown")
    desk.shows(prompt="a red circle on blue")
    desk.page.keyboard.press("Control+ArrowDown")
    desk.shows(prompt="a (red circle:0.9) on blue")


def test_the_word_at_the_caret_is_weighed_and_undone(desk: Studio) -> None:
    desk.fill(prompt="a red circle")
    select(desk, 4, 4)
    desk.page.keyboard.press("Control+ArrowUp")
    desk.shows(prompt="a (red:1.1) circle")
    desk.page.keyboard.press("Control+z")
    desk.shows(prompt="a red circle")


def test_swap_and_shape_buttons(desk: Studio) -> None:
    desk.fill(width=192, height=96)
    desk.button("swap").click()
    desk.shows(width=96, height=192)
    desk.fill(width=512, height=512)
    desk.page.get_by_role("button", name="16:9", exact=True).click()
    desk.shows(width=680, height=384)


def test_a_slider_and_its_number_move_together(desk: Studio) -> None:
    slider = desk.box("steps").locator(".slider")
    desk.fill(steps=40)
    expect(slider).to_have_value("40")
    slider.evaluate("slider => { slider.value = 60; slider.dispatchEvent(new Event('input', {bubbles: true})); }")
    desk.shows(steps=60)


def test_a_wrong_field_is_marked_and_nothing_is_lost(desk: Studio) -> None:
    desk.generate(prompt="keep me", width=10, steps=0)
    for name in ("width", "steps"):
        expect(desk.box(name)).to_have_class(re.compile("wrong"))
        expect(desk.field(name)).to_have_attribute("aria-invalid", "true")
    expect(desk.box("width").locator(".problem")).to_contain_text("between 64 and 8,192")
    desk.shows(prompt="keep me", width=10, steps=0)
    desk.fill(width=104)
    expect(desk.box("width").locator(".problem")).to_have_count(0)
    expect(desk.box("steps").locator(".problem")).to_have_count(1)


def test_a_size_is_brought_to_what_the_model_takes_and_that_is_said(desk: Studio, house: Stage) -> None:
    before = desk.pictures()
    desk.generate(prompt="not in whole cells", width=100, height=130, steps=2)
    expect(desk.page.get_by_text("Width: 96 in place of 100; the model draws in whole cells.").first).to_be_visible()
    desk.shows(width=96)
    desk.wait_pictures(before + 1)
    assert (house.requests()[-1].width, house.requests()[-1].height) == (96, 128)


def test_a_wrong_field_in_a_fold_is_shown(desk: Studio) -> None:
    fold = desk.page.get_by_role("button", name="Advanced sampling options")
    fold.click()
    desk.shows(clip_skip=1)
    desk.page.wait_for_timeout(1000)  # Gradio sets what a fold holds once more after it has opened
    desk.fill(clip_skip=99)
    desk.page.wait_for_function("easel.form('txt2img').values.clip_skip === 99")
    desk.page.wait_for_timeout(300)
    fold.click()
    expect(desk.box("clip_skip")).not_to_be_visible()
    desk.button("generate").click()
    expect(desk.box("clip_skip").locator(".problem")).to_be_visible()


def test_a_number_that_may_be_left_empty_is_not_made_0_by_looking_at_it(stage: Studio, house: Stage) -> None:
    before = stage.pictures()
    stage.page.get_by_role("button", name="Advanced sampling options").click()
    stage.shows(clip_skip=1, eta="")
    stage.page.wait_for_timeout(1000)
    stage.generate(prompt="nothing said of eta", steps=2)
    stage.wait_pictures(before + 1)
    stage.generate(prompt="a third of it", eta=0.3)
    stage.wait_pictures(before + 2)
    stage.generate(prompt="empty again", eta="")
    stage.wait_pictures(before + 3)
    assert [request.eta for request in house.requests()[-3:]] == [None, 0.3, None]


def test_the_form_is_there_after_a_refresh(stage: Studio) -> None:
    stage.fill(prompt="a green tree", negative_prompt="red", steps=33, width=256, seed=2**64 - 1)
    stage.field("sampler").click()
    stage.page.get_by_role("option", name="Euler a", exact=True).click()
    stage.page.reload()
    stage.settled()
    stage.shows(prompt="a green tree", negative_prompt="red", steps=33, width=256, seed=2**64 - 1, sampler="Euler a")
    # As a version kept it whose field for eta made 0 of nothing.
    stage.page.evaluate("""() => { const { key, values } = easel.form('txt2img'), kept = { ...values, eta: 0, s_churn: 0 };
      for (const storage of [sessionStorage, localStorage]) storage.setItem(key, JSON.stringify(kept)); }""")
    stage.page.reload()
    stage.settled()
    found = stage.page.evaluate("easel.form('txt2img').values")
    assert (found["eta"], found["s_churn"]) == ("", 0)


def test_an_infotext_in_the_prompt_box_is_read(desk: Studio) -> None:
    desk.fill(prompt=INFOTEXT)
    desk.button("paste").click()
    desk.shows(prompt="a blue star, white background", steps=11, seed=77, width=192, height=64, cfg_scale=3.5)
    desk.shows(sampler="Euler a", negative_prompt="red")


def test_another_checkpoint_brings_its_defaults_and_leaves_own_values(desk: Studio) -> None:
    desk.fill(width=320)
    desk.page.locator("#checkpoint input").click()
    desk.page.get_by_role("option", name=re.compile("photo-v2")).click()
    desk.shows(height=512, cfg_scale=7, width=320)


def test_clear_and_random_seed(desk: Studio) -> None:
    desk.fill(prompt="away with this", seed=5)
    desk.button("clear_prompt").click()
    desk.button("random_seed").click()
    desk.shows(prompt="", seed=-1)


@pytest.mark.parametrize("tab", ["txt2img", "img2img"])
def test_what_is_applied_is_the_truth_until_gradio_has_set_it(desk: Studio, tab: str) -> None:
    desk.into(tab)
    seen = desk.page.evaluate(APPLIED, tab)
    assert seen["told"] == [256, 384, 256], "no value comes back that was replaced"
    assert seen["at_the_end"] == [256, 0]
    replace(desk, tab=tab).shows(width=256)


def test_a_person_puts_a_value_back_that_was_replaced(desk: Studio) -> None:
    desk.page.evaluate("easel.form('txt2img').apply({ width: 256 })")
    desk.page.wait_for_function("easel.form('txt2img').values.width === 256 && !easel.form('txt2img').fillings", timeout=PATIENCE)
    desk.fill(width=128)
    desk.page.wait_for_function("easel.form('txt2img').values.width === 128", timeout=PATIENCE)


def test_what_is_typed_outlasts_values_that_are_applied(desk: Studio) -> None:
    desk.page.evaluate("""() => { const form = easel.form('txt2img'), box = document.querySelector('#txt2img_prompt textarea');
      box.value = 'a red fox'; box.dispatchEvent(new Event('input', { bubbles: true })); form.apply({ width: 256 }); }""")
    desk.page.wait_for_function("easel.form('txt2img').values.width === 256 && !easel.form('txt2img').fillings", timeout=PATIENCE)
    desk.shows(prompt="a red fox", width=256)
    assert desk.page.evaluate("easel.form('txt2img').values.prompt") == "a red fox"


def test_what_was_typed_a_moment_ago_comes_back_when_its_replacement_is_undone(desk: Studio) -> None:
    desk.page.evaluate("""() => { const box = document.querySelector('#txt2img_prompt textarea');
      box.value = 'typed just now'; box.dispatchEvent(new Event('input', { bubbles: true }));
      easel.form('txt2img').replace({ prompt: 'given', width: 256 }, 'Given.'); }""")
    desk.shows(prompt="given", width=256)
    desk.page.locator(".toast", has_text="Given.").get_by_role("button", name="Undo").click()
    desk.shows(prompt="typed just now", width=128)


ANOTHER_PAGE = """() => { const key = 'easel.guides.previews', other = { image: '', module: 'canny', settings: '', preview: 'kept by another page' };
  localStorage[key] = JSON.stringify([...JSON.parse(localStorage[key]), other]); dispatchEvent(new StorageEvent('storage', { key })); }"""


def unit(studio: Studio, number: int, name: str) -> Locator:
    return studio.page.locator(f"#txt2img_guides_{number}_{name} :is(select, input)").first


def units(studio: Studio) -> list[dict]:
    return json.loads(studio.page.evaluate("easel.form('txt2img').pending.guides ?? easel.form('txt2img').values.guides"))


def points_are_moved(studio: Studio) -> None:
    """Of a pose that was found: one by keys, one by the pointer, with the hand that hangs on it."""
    page = studio.page
    person = {"body": [[0.5, 0.1 + 0.04 * number] for number in range(17)] + [None], "right_hand": [[0.5, 0.3], None]}
    page.route("**/easel/guides/points", lambda route: route.fulfill(json={"people": [person]}))
    expect(page.get_by_role("button", name="Move the points")).to_be_hidden()
    unit(studio, 0, "module").select_option("dw_openpose_full")
    image, thumb = units(studio)[0]["image"], page.locator("#txt2img_guides_0_image .unit-thumb")
    before = thumb.get_attribute("src")
    page.get_by_role("button", name="Move the points").click()
    expect(page.locator(".points-joint")).to_have_count(17)
    page.get_by_role("button", name="Nose").focus()
    for key in ("ArrowRight", "ArrowRight", "Shift+ArrowUp"):
        page.keyboard.press(key)
    wrist, stage = page.get_by_role("button", name="Right wrist").bounding_box(), page.locator(".points-stage").bounding_box()
    width, height = (studio.field(name).input_value() for name in ("width", "height"))
    assert stage["width"] / stage["height"] == pytest.approx(int(width) / int(height), rel=0.01), "points lie where they are in the picture"
    assert page.locator(".points-stage").evaluate("stage => stage.style.backgroundSize") == "cover", "which is cut as the model sees it"
    page.mouse.move(wrist["x"] + wrist["width"] / 2, wrist["y"] + wrist["height"] / 2)
    page.mouse.down()
    page.mouse.move(stage["x"] + stage["width"] * 0.25, stage["y"] + stage["height"] * 0.75, steps=3)
    page.mouse.up()
    with page.expect_request("**/easel/guides/pose") as sent:
        page.get_by_role("button", name="Use it").click()
    moved = sent.value.post_data_json["people"][0]
    assert moved["body"][0] == pytest.approx([0.52, 0.098]) and moved["body"][4] == pytest.approx([0.25, 0.75], abs=0.02) and moved["body"][17] is None
    assert moved["right_hand"][0] == pytest.approx([moved["body"][4][0], moved["body"][4][1] + 0.3 - 0.26], abs=0.01), "the hand goes with its wrist"
    expect(thumb).not_to_have_attribute("src", before)
    assert [(one["module"], one["image"] == image) for one in units(studio)] == [("none", False)], "what was moved is what the model sees"
    page.get_by_role("button", name="Move the points").click()
    expect(page.get_by_role("button", name="Nose")).to_have_attribute("transform", re.compile(r"translate\(66\.5"))
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Back to the picture it was made of").click()
    expect(thumb).to_have_attribute("src", before)
    assert [(one["module"], one["image"]) for one in units(studio)] == [("dw_openpose_full", image)]
    page.unroute("**/easel/guides/points")
    unit(studio, 0, "module").select_option("canny")


def a_preview_is_of_its_picture_alone(studio: Studio) -> None:
    """It goes with the picture and comes back with it; of other settings it is told."""
    page, panel = studio.page, studio.page.locator("#txt2img_guides .guides")
    first = units(studio)[0]["image"]
    result, thumb = panel.locator(".unit-result"), page.locator("#txt2img_guides_0_image .unit-thumb")
    for size, shown in ((48, False), (40, True)):
        page.get_by_label("Picture of the guide").last.set_input_files({"name": "p.png", "mimeType": "image/png", "buffer": square(size)})
        expect(thumb).to_have_js_property("naturalWidth", size)
        expect(result).to_be_visible(visible=shown)
    assert units(studio)[0]["image"] == first
    note = result.get_by_text("Made with other settings or for another size.")
    for threshold, stale in ((150, True), (200, False)):
        unit(studio, 0, "threshold_b").fill(str(threshold))
        expect(note).to_be_visible(visible=stale)


def numbers_are_checked_while_they_are_typed(studio: Studio) -> None:
    page = studio.page
    for name, wrong, right, told in (("start", "1", "0", "Starting step must be before the ending step."), ("weight", "10", "1", "Control weight must be between 0 and 2; 10 is not.")):
        unit(studio, 0, name).fill(wrong)
        expect(page.locator(f"#txt2img_guides_0_{name} .problem")).to_have_text(told)
        unit(studio, 0, name).fill(right)
        expect(page.locator(f"#txt2img_guides_0_{name} .problem")).to_have_count(0)
    unit(studio, 0, "weight").fill("")
    unit(studio, 0, "weight").blur()
    expect(unit(studio, 0, "weight")).to_have_value("1")


def a_region_is_painted_over_the_picture(studio: Studio) -> None:
    """The picture shows through where it lies on what is drawn; only what is painted is kept."""
    page, region = studio.page, studio.page.locator("#txt2img_guides_0_mask")
    page.locator(".unit-region summary").click()
    for mode, lies in (("Just Resize", "100% 100%"), ("Crop and Resize", "cover")):
        unit(studio, 0, "resize_mode").select_option(mode)
        region.get_by_role("button", name="Paint a region").click()
        sheet, stage = page.get_by_role("dialog", name="Paint the region in white"), page.locator(".brush-stage").evaluate("({ style }) => [style.backgroundImage, style.backgroundSize]")
        assert units(studio)[0]["image"] in stage[0] and stage[1] == lies
        box = sheet.locator("canvas").bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.up()
        sheet.get_by_role("button", name="Cancel" if lies != "cover" else "Use it").click()
        expect(region.locator(".unit-thumb")).to_be_visible(visible=lies == "cover")
    (mask,) = (one["mask"] for one in units(studio))
    grey = page.evaluate("""async id => { const picture = new Image(); picture.src = `/easel/upload/${id}.png`; await picture.decode();
      const canvas = new OffscreenCanvas(picture.width, picture.height), context = canvas.getContext("2d"); context.drawImage(picture, 0, 0);
      return [[0, 0], [0.5, 0.5]].map(([x, y]) => context.getImageData(x * picture.width, y * picture.height, 1, 1).data[0]); }""", mask)
    assert grey == [0, 255]
    region.get_by_role("button", name="Remove").click()
    assert [one["mask"] for one in units(studio)] == [""]


def test_guides_are_added_led_by_one_choice_previewed_copied_moved_and_kept(stage: Studio) -> None:
    page, panel = stage.page, stage.page.locator("#txt2img_guides .guides")
    assert not page.locator(".guides").count(), "nothing is made before the fold is opened"
    page.locator("#txt2img_guides_fold").get_by_role("button").first.click()
    with page.expect_response("**/easel/guides/check"):
        panel.get_by_role("button", name="Add a guide").click()
    expect(page.get_by_label("Guide by").locator("option:checked")).to_have_text("Choose…")
    expect(panel.locator(".unit.wrong")).to_have_count(0)      # who has chosen nothing has done nothing wrong
    page.get_by_label("Guide by").select_option("edges")
    expect(panel.get_by_text("There is no model for this and the checkpoint yet: put one into models/controlnet.")).to_be_visible()
    expect(unit(stage, 0, "module")).to_have_value("canny")
    expect(page.locator("#txt2img_guides_0_threshold_b")).to_contain_text("High threshold")
    expect(page.locator("#txt2img_guides_0_threshold_b input").first).to_have_value("200")
    page.locator("#txt2img_guides_0_image").hover()
    page.evaluate(PASTE, base64.b64encode(square(24)).decode())
    expect(page.locator("#txt2img_guides_0_image .unit-thumb")).to_have_js_property("naturalWidth", 24)
    page.get_by_label("Picture of the guide").last.set_input_files({"name": "p.png", "mimeType": "image/png", "buffer": square()})
    expect(page.locator("#txt2img_guides_0_image .unit-thumb")).to_have_js_property("naturalWidth", 40)
    panel.get_by_role("button", name="Preview").click()
    expect(panel.locator(".unit-result")).to_be_visible()
    a_preview_is_of_its_picture_alone(stage)
    points_are_moved(stage)
    panel.get_by_role("button", name="Use as the picture").click()
    expect(unit(stage, 0, "module")).to_have_value("none")
    expect(page.get_by_label("Guide by")).to_have_value("edges")
    stage.button("generate").click()
    expect(page.locator("#txt2img_guides_0_model .problem")).to_have_text("Model is missing: choose a model for the unit.")
    expect(unit(stage, 0, "model")).to_be_focused()
    numbers_are_checked_while_they_are_typed(stage)
    a_region_is_painted_over_the_picture(stage)
    unit(stage, 0, "weight").fill("0.4")
    panel.get_by_role("button", name="Copy this guide").click()
    unit(stage, 1, "enabled").uncheck()
    panel.get_by_role("button", name="Move this guide up").click()
    assert [(one["enabled"], one["weight"]) for one in units(stage)] == [(False, 0.4), (True, 0.4)]
    page.evaluate(ANOTHER_PAGE)
    panel.get_by_role("button", name="Preview").first.click()
    expect(panel.locator(".unit-result").first).to_be_visible()
    assert "kept by another page" in page.evaluate("localStorage['easel.guides.previews']")
    page.wait_for_function("!easel.form('txt2img').fillings && JSON.parse(easel.form('txt2img').values.guides)[0].enabled === false")
    page.reload()
    stage.settled()
    assert [(one["enabled"], one["weight"], len(one["image"])) for one in units(stage)] == [(False, 0.4, 64), (True, 0.4, 64)]
    page.locator("#txt2img_guides_fold").get_by_role("button").first.click()
    panel.locator(".unit-open").first.click()
    expect(panel.locator(".unit-result").first).to_be_visible()
    for _ in range(2):
        panel.get_by_role("button", name="Remove this guide").first.click()
    expect(panel.locator(".unit")).to_have_count(0)
    a_model_of_several_kinds_is_told_which_it_is_shown(stage)


def a_model_of_several_kinds_is_told_which_it_is_shown(studio: Studio) -> None:
    """The preprocessor told it; of what that has made, nothing else does."""
    page, panel = studio.page, studio.page.locator("#txt2img_guides .guides")
    panel.get_by_role("button", name="Add a guide").click()
    page.get_by_label("Picture of the guide").last.set_input_files({"name": "p.png", "mimeType": "image/png", "buffer": square()})
    unit(studio, 0, "module").select_option("canny")
    unit(studio, 0, "model").evaluate("list => { list.add(new Option('a-union')); list.value = 'a-union'; list.dispatchEvent(new Event('change')); }")
    panel.get_by_role("button", name="Preview").click()
    panel.get_by_role("button", name="Use as the picture").click()
    expect(unit(studio, 0, "union_type")).to_have_value("Hard Edge")
    expect(panel.get_by_text("By its name the model is for")).to_have_count(0)
    unit(studio, 0, "union_type").select_option("Automatic")
    expect(panel.get_by_text("Choose the kind of hint")).to_be_visible()
    panel.get_by_role("button", name="Back to the picture it was made of").click()
    assert [(one["module"], one["union_type"]) for one in units(studio)] == [("canny", "Automatic")]
    expect(panel.get_by_text("Choose the kind of hint")).to_be_hidden()


def test_what_does_not_fit_is_told_at_its_guide_also_when_that_was_folded_or_moved(desk: Studio) -> None:
    """Not somewhere on the page, and not at the guide that has its place by now."""
    page, panel, problem = desk.page, desk.page.locator("#txt2img_guides .guides"), "#txt2img_guides_{}_{} .problem"
    page.evaluate("easel.form('txt2img').apply({ guides: JSON.stringify([{ enabled: true, module: 'canny', model: 'one' }, { enabled: true, module: 'canny', model: 'gone' }]) })")
    page.wait_for_function("!easel.form('txt2img').fillings && easel.form('txt2img').values.guides?.includes('gone')")
    desk.button("generate").click()
    expect(page.locator(problem.format(1, "model"))).to_contain_text("Model 'gone' is not here")
    expect(unit(desk, 0, "model")).to_be_focused()
    panel.locator(".unit-open").nth(1).click()
    expect(panel.locator(".unit.misfit")).to_have_count(2)
    expect(panel.locator(".unit-name").nth(1)).to_have_text("2 · Edges · does not fit")
    panel.get_by_role("button", name="Move this guide up").click()
    unit(desk, 0, "enabled").uncheck()
    expect(panel.locator(".unit-name").first).to_have_text("1 · Edges")
    page.locator("#txt2img_guides_1_image").get_by_label("Picture of the guide").set_input_files({"name": "p.png", "mimeType": "image/png", "buffer": square()})
    held: list[Route] = []
    page.route("**/easel/guides/preview", lambda route: held.append(route))
    page.locator("#txt2img_guides_1_image").get_by_role("button", name="Preview").click()
    panel.get_by_role("button", name="Move this guide up").click()
    expect(page.locator("#txt2img_guides_0_image").get_by_role("button", name="Stop making it")).to_be_visible()
    held[0].fulfill(status=422, json={"problems": [{"field": "guides[0].module", "message": "ran out of memory"}]})
    expect(page.locator(problem.format(0, "module"))).to_have_text("Preprocessor ran out of memory.")
    expect(page.locator(problem.format(1, "module"))).to_have_count(0)
    expect(page.get_by_role("button", name="Stop making it")).to_have_count(0)


def test_a_removed_guide_comes_back_beside_those_that_were_added_since(desk: Studio) -> None:
    page, panel = desk.page, desk.page.locator("#txt2img_guides .guides")
    page.evaluate("easel.form('txt2img').apply({ guides: JSON.stringify([{ weight: 0.1 }, { weight: 0.2 }]) })")
    if not panel.is_visible():
        page.locator("#txt2img_guides_fold").get_by_role("button").first.click()
    panel.get_by_role("button", name="Remove this guide").first.click()
    panel.get_by_role("button", name="Add a guide").click()
    page.get_by_role("button", name="Undo").click()
    assert [one["weight"] for one in units(desk)] == [0.1, 0.2, 1]


def test_a_guide_lacks_no_picture_once_there_is_one_to_start_from(desk: Studio) -> None:
    page, panel = desk.page, desk.page.locator("#img2img_guides .guides")
    desk.into("img2img")
    page.evaluate("easel.form('img2img').apply({ guides: JSON.stringify([{ enabled: true, module: 'canny' }]) })")
    if not panel.is_visible():
        page.locator("#img2img_guides_fold").get_by_role("button").first.click()
    panel.get_by_role("button", name="Preview").click()
    lacks = page.locator("#img2img_guides_0_image .problem")
    expect(lacks).to_have_text("Picture is missing: choose a picture for the unit.")
    page.evaluate("""async picture => { const { id } = await fetch('/easel/upload', { method: 'POST', body: Uint8Array.from(atob(picture), letter => letter.charCodeAt(0)) }).then(answer => answer.json());
      easel.form('img2img').apply({ init_image: id }); }""", base64.b64encode(square()).decode())
    expect(lacks).to_have_count(0)


def test_the_region_of_a_part_that_is_the_only_one_by_now_is_seen_and_can_be_removed(desk: Studio) -> None:
    """It acts, too."""
    page, fold = desk.page, desk.page.locator("#txt2img_regions_fold")
    if not page.locator("#txt2img_regions .guides").is_visible():
        fold.get_by_role("button").first.click()
    desk.fill(prompt="a cat AND a dog")
    expect(fold.locator(".region-text")).to_have_text(["a cat", "a dog"])
    fold.get_by_role("button", name="Paint a region").first.click()
    sheet = page.get_by_role("dialog", name="Paint the region in white")
    assert sheet.evaluate("sheet => sheet.scrollHeight <= sheet.clientHeight"), "what it is left by is in sight"
    sheet.get_by_role("button", name="Use it").click()
    expect(fold.locator(".unit-thumb").first).to_be_visible()
    desk.fill(prompt="a dog")
    expect(fold.locator(".region-text")).to_have_text(["a dog"])
    fold.get_by_role("button", name="Remove").click()
    expect(fold.get_by_text("Write AND between two parts of the prompt")).to_be_visible()
    assert json.loads(page.evaluate("easel.form('txt2img').pending.regions ?? easel.form('txt2img').values.regions"))[0] == {"mask": ""}


def test_pictures_that_are_kept_no_longer_are_missed_at_their_guide(desk: Studio) -> None:
    page, panel, told = desk.page, desk.page.locator("#txt2img_guides .guides"), "is no longer there; choose the picture again."
    page.evaluate("easel.form('txt2img').apply({ guides: JSON.stringify([{ module: 'ip-adapter-auto', image: 'ab'.repeat(32), mask: 'cd'.repeat(32), more_images: ['ef'.repeat(32)] }]) })")
    if not panel.is_visible():
        page.locator("#txt2img_guides_fold").get_by_role("button").first.click()
    for name, label in (("image", "Picture"), ("mask", "Region"), ("more_images", "More pictures")):
        expect(page.locator(f"#txt2img_guides_0_{name} .problem")).to_have_text(f"{label} {told}")
    expect(page.locator("#txt2img_guides_0_image .unit-thumb")).to_be_hidden()
    page.locator("#txt2img_guides_0_image").get_by_label("Picture of the guide").set_input_files({"name": "p.png", "mimeType": "image/png", "buffer": square()})
    expect(page.locator("#txt2img_guides_0_image .problem")).to_have_count(0)
    expect(page.locator("#txt2img_guides_0_image .unit-thumb")).to_have_js_property("naturalWidth", 40)


def test_what_belongs_to_a_picture_or_a_preprocessor_goes_with_it(desk: Studio) -> None:
    page, panel = desk.page, desk.page.locator("#txt2img_guides .guides")
    picture = page.request.post(f"{desk.url}easel/upload", data=square()).json()["id"]
    page.evaluate("image => easel.form('txt2img').apply({ guides: JSON.stringify([{ module: 'canny', image, threshold_a: 150, face_index: 3, union_type: 'Hard Edge' }]) })", picture)
    if not panel.is_visible():
        page.locator("#txt2img_guides_fold").get_by_role("button").first.click()
    place = page.locator("#txt2img_guides_0_image")
    place.get_by_role("button", name="Remove").click()
    assert [(one["image"], one["enabled"], one["face_index"]) for one in units(desk)] == [("", False, 0)], "who takes its picture away does not switch it on"
    unit(desk, 0, "module").select_option("blur_gaussian")
    assert [(one["threshold_a"], one["union_type"]) for one in units(desk)] == [(-1, "Hard Edge")]
    page.get_by_label("Guide by").select_option("tiles")
    assert [one["union_type"] for one in units(desk)] == ["Automatic"]
    place.get_by_label("Picture of the guide").set_input_files({"name": "p.png", "mimeType": "image/png", "buffer": square()})
    expect(place.locator(".unit-thumb")).to_have_js_property("naturalWidth", 40)
    assert [one["enabled"] for one in units(desk)] == [True]


def test_of_pictures_that_come_together_each_is_kept_and_of_two_in_one_place_the_last(desk: Studio) -> None:
    page, panel = desk.page, desk.page.locator("#txt2img_guides .guides")
    page.evaluate("easel.form('txt2img').apply({ guides: JSON.stringify([{ module: 'ip-adapter-auto' }]) })")
    if not panel.is_visible():
        page.locator("#txt2img_guides_fold").get_by_role("button").first.click()
    files = [{"name": f"{size}.png", "mimeType": "image/png", "buffer": square(size)} for size in (24, 32, 48)]
    page.get_by_label("More pictures").set_input_files([*files, {"name": "x.png", "mimeType": "image/png", "buffer": b"none"}])
    expect(panel.locator(".unit-more img")).to_have_count(3)
    expect(page.locator("#txt2img_guides_0_more_images .problem")).to_contain_text("not a picture that Easel can read")
    panel.get_by_role("button", name="Remove picture 3").click()
    assert [len(one["more_images"]) for one in units(desk)] == [2]
    held: list[Route] = []
    page.route("**/easel/upload", lambda route: route.fallback() if held else held.append(route))
    place = page.locator("#txt2img_guides_0_image")
    for file in files[:2]:
        with page.expect_request("**/easel/upload"):
            place.get_by_label("Picture of the guide").set_input_files(file)
    expect(place.locator(".unit-thumb")).to_have_js_property("naturalWidth", 32)
    with page.expect_response("**/easel/upload"):
        held[0].fallback()
    expect(place.locator(".unit-thumb")).to_have_js_property("naturalWidth", 32)


def test_a_set_of_guides_is_saved_chosen_in_the_other_tab_replaced_and_deleted(desk: Studio) -> None:
    page, dialog = desk.page, desk.page.locator(".sets-sheet")
    for tab in ("txt2img", "img2img"):
        desk.into(tab)
        page.locator(f"#{tab}_guides_fold").get_by_role("button").first.click()
    desk.into("txt2img")
    page.evaluate("easel.form('txt2img').apply({ guides: JSON.stringify([{ enabled: true, module: 'canny', weight: 0.4 }, { weight: 0.7 }]) })")
    panel, other = (page.locator(f"#{tab}_guides .guides") for tab in ("txt2img", "img2img"))
    expect(panel.locator(".unit")).to_have_count(2)
    sets = page.get_by_role("button", name="Sets of guides")
    sets.click()
    for name, told in ((" ", "1 to 60 characters"), ("My pose", None)):
        dialog.get_by_label("Name").fill(name)
        dialog.get_by_role("button", name="Save the guides").click()
        expect(dialog.locator(".problem")).to_contain_text(told) if told else expect(dialog.locator(".problem")).to_be_hidden()
    expect(dialog.locator(".guide-set")).to_have_text("My pose2 guides")
    dialog.get_by_role("button", name="Close").click()
    desk.into("img2img")
    sets.click()
    dialog.locator(".guide-set").click()
    expect(other.locator(".unit")).to_have_count(2)
    expect(page.locator("#img2img_guides_1_enabled_input")).not_to_be_checked()
    other.get_by_role("button", name="Remove this guide").first.click()
    sets.click()
    dialog.get_by_role("button", name="Replace My pose").click()
    page.locator(".share-sheet").get_by_role("button", name="Replace").click()
    expect(dialog.locator(".guide-set")).to_have_text("My pose1 guide")
    dialog.get_by_role("button", name="Close").click()
    page.reload()
    desk.settled()
    assert page.evaluate("window.easelPreferences['guides.My pose']") == [{"weight": 0.7}]
    desk.into("txt2img")
    page.locator("#txt2img_guides_fold").get_by_role("button").first.click()
    sets.click()
    dialog.get_by_role("button", name="Delete My pose").click()
    expect(dialog.locator(".guide-set")).to_have_count(0)
    dialog.get_by_role("button", name="Close").click()
    assert page.evaluate("fetch('/easel/preferences').then(answer => answer.json())").keys() == set()
    for tab in ("txt2img", "img2img"):
        page.evaluate("tab => easel.form(tab).apply({ guides: '[]' })", tab)


LET_GO = """() => { const tracks = window.tracks = [], media = navigator.mediaDevices, given = media.getUserMedia.bind(media);
  media.getUserMedia = async wanted => { const stream = await given(wanted); tracks.push(...stream.getTracks()); return stream; }; }"""


def test_a_camera_takes_a_guides_picture_and_is_let_go(desk: Studio) -> None:
    """On every way out; where there is none it is told why."""
    page, place = desk.page, desk.page.locator("#txt2img_guides_0_image")
    fold = page.locator("#txt2img_guides_fold").get_by_role("button").first
    if not page.locator("#txt2img_guides .guides").is_visible():
        fold.click()
    page.get_by_role("button", name="Add a guide").first.click()
    page.evaluate(LET_GO)
    camera, sheet = place.get_by_role("button", name="Camera"), page.locator(".camera-sheet")
    for way_out in ("Enter", "Escape"):
        camera.click()
        expect(sheet.get_by_role("button", name="Take the picture")).to_be_focused()
        page.keyboard.press("Enter")
        expect(sheet.get_by_role("button", name="Use it")).to_be_focused()
        page.keyboard.press(way_out)
        expect(sheet).to_have_count(0)
        assert page.evaluate("tracks.map(track => track.readyState)") == ["ended"] * page.evaluate("tracks.length")
        expect(camera).to_be_focused()
    assert page.evaluate("tracks.length") == 2
    expect(place.locator(".unit-thumb")).to_be_visible()
    page.wait_for_function("JSON.parse(easel.form('txt2img').pending.guides ?? easel.form('txt2img').values.guides)[0].image.length === 64")
    page.evaluate("() => { navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', 'NotAllowedError'); }; }")
    camera.click()
    expect(sheet.get_by_role("status")).to_contain_text("The browser refuses the camera")
    expect(sheet.get_by_role("button", name="Try again")).to_be_focused()
    page.keyboard.press("Escape")
    page.evaluate("() => { Object.defineProperty(navigator, 'mediaDevices', { value: undefined, configurable: true }); }")
    camera.click()
    expect(sheet.get_by_role("status")).to_have_text("This browser gives no camera to pages.")
    page.keyboard.press("Escape")
    page.evaluate("() => { delete navigator.mediaDevices; }")
    page.locator("#txt2img_guides").get_by_role("button", name="Remove this guide").click()
    fold.click()


def face_files(folder: Path) -> None:
    """What is looked for by name alone, and a FaceID of few numbers."""
    pack = folder / "insightface" / "models" / "buffalo_l"
    pack.mkdir(parents=True, exist_ok=True)
    (folder / "ip_adapter").mkdir(exist_ok=True)
    for file in (pack / "w600k_r50.onnx", pack / "det_10g.onnx", folder / "insightface" / "inswapper_128.onnx"):
        file.write_bytes(b"")
    shapes = {"image_proj.proj.0.weight": (8, 512), "image_proj.norm.weight": (8,), "ip_adapter.1.to_k_ip.weight": (8, 8), "ip_adapter.1.to_v_ip.weight": (8, 8)}
    save_file({name: np.zeros(shape, np.float32) for name, shape in shapes.items()}, folder / "ip_adapter" / "ip-adapter-faceid_sd15.safetensors")


@pytest.mark.parametrize("whole", [True, False], ids=["both parts", "one part"])
def test_use_this_face_takes_instant_id_only_where_both_its_parts_are(stage: Studio, whole: bool) -> None:
    page = stage.page
    there = [("an_instantid", "instant_id"), ("a_faceid", "ip_adapter"), *([("an_instantid_points", "controlnet")] if whole else [])]

    def with_models(route: Route) -> None:
        told = route.fetch().json()
        route.fulfill(json=told | {"models": [{"name": name, "kind": kind, "prefers": {}} for name, kind in there]})

    page.route("**/easel/guides?*", with_models)
    found = {"faces": [{"box": [0.2, 0.2, 0.6, 0.6], "male": True}], "orders": {"Largest first": [0]}, "why": "", "later": False}
    answers = iter([{"faces": [], "orders": {}, "why": "not ready yet", "later": True}] * 2)
    page.route("**/easel/faces/located?*", lambda route: route.fulfill(json=next(answers, found)))
    stage.generate(steps=1)
    stage.wait_pictures(1)
    stage.results.get_by_role("button", name="Send to …").click()
    page.get_by_role("menuitem", name="Use this face").click()
    expect(page.locator("#txt2img_guides .unit")).to_have_count(2 if whole else 1)
    assert [one["model"] for one in units(stage)] == (["an_instantid", "an_instantid_points"] if whole else ["a_faceid"])
    if not whole:
        expect(page.get_by_text("not ready yet")).to_be_visible()
        expect(page.locator("#txt2img_guides_0_image .face-box")).to_have_count(1)
        expect(page.get_by_text("not ready yet")).to_be_hidden()


def test_a_face_of_a_result_is_used_and_chosen_swapped_in_and_drawn_again(desk: Studio, house: Stage) -> None:
    page, form = desk.page, "easel.form('txt2img').values"
    face_files(house.backend.settings.data.parent)
    before = desk.pictures()
    desk.generate(steps=1)
    desk.wait_pictures(before + 1)
    desk.results.get_by_role("button", name="Send to …").click()
    page.get_by_role("menuitem", name="Use this face").click()
    sheet = page.get_by_role("dialog", name="Which face is meant")
    expect(sheet.locator(".face-box")).to_have_count(2)
    sheet.get_by_role("button", name="Close").click()
    assert not units(desk), "who closes the sheet has chosen nothing"
    desk.results.get_by_role("button", name="Send to …").click()
    page.get_by_role("menuitem", name="Use this face").click()
    sheet.get_by_role("button", name="Face 1").click()
    panel = page.locator("#txt2img_guides .guides")
    expect(panel.locator(".unit-about")).to_have_text("ip-adapter-auto · ip-adapter-faceid_sd15")
    faces = page.locator("#txt2img_guides_0_image .face-box")
    expect(faces).to_have_count(2)
    expect(faces.nth(1)).to_have_attribute("aria-pressed", "true")
    faces.first.click()
    expect(faces.first).to_have_attribute("aria-pressed", "true")
    faces.first.focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(faces.nth(1)).to_be_focused()
    expect(faces.nth(1)).to_have_attribute("aria-pressed", "true")
    assert [(one["enabled"], one["face_index"], len(one["image"])) for one in units(desk)] == [(True, 1, 64)]
    assert faces.first.evaluate("box => Math.min(box.offsetWidth, box.offsetHeight)") >= 24
    page.get_by_label("Guide by").select_option("picture")
    expect(panel.locator(".unit-about")).to_have_text("ip-adapter-auto")
    assert units(desk)[0]["model"] == "None", "a FaceID is no picture as prompt"
    panel.get_by_role("button", name="Remove this guide").click()
    for fold in ("face_swap", "detailers", "detailers_0"):
        page.locator(f"#txt2img_{fold}_fold").get_by_role("button").first.click()
    page.locator("#txt2img_face_swap").get_by_label("Picture of the face").set_input_files({"name": "p.png", "mimeType": "image/png", "buffer": square()})
    page.locator("#txt2img_face_swap").get_by_role("button", name="Face 1").click()
    desk.shows(face_swap_source=1)
    expect(page.locator("#txt2img_detailers_0_classes")).to_be_hidden()
    page.locator("#txt2img_detailers_0_enabled input").check()
    page.wait_for_function(f"{form}['detailers[0].enabled'] && {form}.face_swap_source == 1")
    for fold in ("face_swap", "detailers", "detailers_0"):
        expect(page.locator(f"#txt2img_{fold}_fold")).to_have_class(re.compile("acting"))
    count = len(house.requests())
    desk.button("generate").click()
    desk.wait_pictures(before + 2)
    asked = house.requests()[count]
    assert (asked.face_swap_source, len(asked.face_swap), [one.model for one in asked.detailers]) == (1, 64, ["Faces"])
