"""Models of transformers as encoders: each family equals the library's own forward and pooling."""

import json
import pickle
import shutil
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from tbe.encoders import load_encoder
from tbe.encoders.huggingface import processor as processor_module

transformers = pytest.importorskip("transformers", reason="needs transformers: pip install -e '.[hf]'")

TINY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
IMAGE = TINY | {"image_size": 32, "patch_size": 16}
CLIP = IMAGE | {"num_frames": 4}
TEXT = TINY | {"vocab_size": 99}
TOWERS = {"vision_config": IMAGE, "text_config": TEXT}
PRISM = {"image_size": 32, "num_frames": 4, "tubelet_size": [1, 16, 16], "num_spatial_layers": 1}
PRISM |= {"num_temporal_layers": 1, "num_auxiliary_layers": 1}
JEPA = {"crop_size": 32, "patch_size": 16, "frames_per_clip": 4, "hidden_size": 48, "num_hidden_layers": 2}
JEPA |= {"num_attention_heads": 2, "pred_hidden_size": 24, "pred_num_attention_heads": 2, "pred_num_hidden_layers": 1}
JEPA |= {"pred_num_mask_tokens": 2, "num_pooler_layers": 1}
SIZES = {"size": {"shortest_edge": 36}, "crop_size": {"height": 32, "width": 32}}


class Family(NamedTuple):
    """A tiny model, its processor, and how the library itself pools its output."""

    model: str
    config: dict[str, Any]
    processor: str
    pool: Any
    settings: dict[str, Any] = SIZES
    grid: tuple[int, int, int] | None = (4, 2, 2)
    readout: str | None = None


def mean(out):
    return out.last_hidden_state.mean(dim=1)


def cls(out):
    return out.last_hidden_state[:, 0]


def pooler(out):
    return out.pooler_output.flatten(1)


SQUARE = {"size": {"height": 32, "width": 32}}
JEPA_SIZES = {"crop_size": 32}
RESNET = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]}
CONVNEXT = {"hidden_sizes": [8, 8, 8, 16], "depths": [1, 1, 1, 1]}
SHORT = {"size": {"shortest_edge": 32}}
CVT = ("BitImageProcessor", lambda out: out.last_hidden_state.mean(dim=(2, 3)), SIZES, (4, 2, 2))
VIVIT = CLIP | {"tubelet_size": [2, 16, 16]}
DINO3 = IMAGE | {"num_register_tokens": 2}
PAIRS = (2, 2, 2)  # the grid of tubes of two frames
FAMILIES = {
    "videomae": Family("VideoMAEModel", CLIP, "VideoMAEImageProcessor", mean, grid=PAIRS),
    "vjepa2": Family("VJEPA2Model", JEPA, "VJEPA2VideoProcessor", mean, JEPA_SIZES, PAIRS),
    "timesformer": Family("TimesformerModel", CLIP, "VideoMAEImageProcessor", cls),
    "vivit": Family("VivitModel", VIVIT, "VivitImageProcessor", cls, grid=PAIRS),
    "videoprism": Family("VideoPrismVisionModel", TINY | PRISM, "LlavaOnevisionVideoProcessor", mean, SQUARE),
    "clip": Family("CLIPModel", TOWERS, "CLIPImageProcessor", pooler),
    "clip vision": Family("CLIPVisionModel", IMAGE, "CLIPImageProcessor", pooler),
    "siglip": Family("SiglipModel", TOWERS, "SiglipImageProcessor", pooler, SQUARE),
    "dinov2": Family("Dinov2Model", IMAGE, "BitImageProcessor", cls),
    "dinov3": Family("DINOv3ViTModel", DINO3, "DINOv3ViTImageProcessor", cls, SQUARE),
    "vit": Family("ViTModel", IMAGE, "ViTImageProcessor", pooler, SQUARE, readout="pooler"),
    "dinov3 convnext": Family("DINOv3ConvNextModel", CONVNEXT, "DINOv3ViTImageProcessor", pooler, SQUARE, (4, 1, 1)),
    "resnet": Family("ResNetModel", RESNET, "BitImageProcessor", pooler, grid=(4, 4, 4)),
    "convnext": Family("ConvNextModel", CONVNEXT, "ConvNextImageProcessor", pooler, SHORT, (4, 1, 1), readout="pooler"),
    "cvt": Family(
        "CvtModel",
        {"embed_dim": [8, 8, 16], "num_heads": [1, 1, 2], "depth": [1, 2, 3], "drop_path_rate": [0.0, 0.0, 0.0]},
        *CVT,
    ),
    "resnet finetuned": Family("ResNetForImageClassification", RESNET, "BitImageProcessor", pooler, grid=(4, 4, 4)),
    "videomae finetuned": Family("VideoMAEForVideoClassification", CLIP, "VideoMAEImageProcessor", None, grid=PAIRS),
    "vjepa2 finetuned": Family("VJEPA2ForVideoClassification", JEPA, "VJEPA2VideoProcessor", None, JEPA_SIZES, PAIRS),
    "vivit finetuned": Family("VivitForVideoClassification", VIVIT, "VivitImageProcessor", None, grid=PAIRS),
    "dinov2 finetuned": Family("Dinov2ForImageClassification", IMAGE, "BitImageProcessor", None),
}


def built(family):
    torch.manual_seed(0)
    kind = getattr(transformers, family.model)
    config = kind.config_class(**family.config)
    model = kind(config).eval()
    for value in model.parameters():  # biases and norms that are not at rest, so that dropping one shows
        value.data.add_(0.1 * torch.randn_like(value))
    return model


MASKED = {"vit mae": Family("ViTMAEModel", IMAGE, "ViTImageProcessor", cls, SQUARE)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """folder(family) has its model and processor, as the library saves them."""
    made = {}

    def make(name):
        if name not in made:
            made[name] = tmp_path_factory.mktemp(name.replace(" ", "_"))
            family = (FAMILIES | MASKED)[name]
            built(family).save_pretrained(made[name])
            getattr(transformers, family.processor)(**family.settings).save_pretrained(made[name])
        return made[name]

    return make


@torch.no_grad()
@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_gives_what_the_librarys_own_forward_and_pooling_give(name, folder):
    family = FAMILIES[name]
    encoder = load_encoder(f"hf:{folder(name)}", num_frames=4, pool=family.readout)
    frames = np.random.default_rng(0).integers(0, 256, (2, 4, 32, 32, 3), dtype=np.uint8)
    clips = torch.from_numpy(frames).permute(0, 4, 1, 2, 3) / 255
    model = built(family)
    processor = getattr(transformers, family.processor)(**family.settings)
    is_image = encoder.spec.layout == "BCHW"
    key = "videos" if "Video" in family.processor and "Image" not in family.processor else "images"
    given = [list(clip) if key == "images" else clip for clip in frames]
    of_each = [processor(**{key: clip}, do_resize=False, do_center_crop=False, return_tensors="pt") for clip in given]
    inputs = torch.cat([next(iter(found.values())) for found in of_each])
    if family.pool is None:
        model.classifier = torch.nn.Identity()
        expected = model(inputs).logits
    else:
        tower = getattr(model, "vision_model", getattr(model, "resnet", model))
        expected = family.pool(tower(inputs))
    if is_image:
        expected = expected.unflatten(0, (2, 4)).mean(dim=1)
    assert_close(encoder(clips), expected, atol=1e-5, rtol=1e-5)
    assert encoder.report.matched == encoder.report.total > 0
    maps = encoder.maps(clips)
    assert maps.shape[2:] == family.grid
    assert_close(maps.flatten(2).transpose(1, 2), encoder.tokens(clips))
    for readout in encoder.readouts:
        features = encoder.read_out(encoder.encoding(clips), readout)
        assert features.isfinite().all()
        assert len(features) == 2


@torch.no_grad()
@pytest.mark.parametrize("name", ["videomae", "timesformer", "vivit", "videoprism", "dinov2", "dinov3", "clip"])
def test_tokens_lie_where_their_patches_are(name, folder):
    """A change of one patch at one time changes the tokens there more than at any other place."""
    encoder = load_encoder(f"hf:{folder(name)}", num_frames=4)
    clips = torch.rand(1, 3, 4, 32, 32)
    changed = clips.clone()
    changed[..., 2:, 16:, :16] = 1 - changed[..., 2:, 16:, :16]  # the second half, below on the left
    change = (encoder.maps(changed) - encoder.maps(clips)).norm(dim=1)[0]
    later = change[change.shape[0] // 2 :]
    assert later.mean(dim=0).argmax() == 2
    assert (later[:, 1, 0] > change[: change.shape[0] // 2, 1, 0].max()).all()


@torch.no_grad()
def test_a_masked_autoencoder_sees_all_patches_in_their_order(folder):
    encoder = load_encoder(f"hf:{folder('vit mae')}", num_frames=2, size=32, mean=[0.0] * 3, std=[1.0] * 3)
    clips = torch.rand(2, 3, 2, 32, 32)
    model = built(MASKED["vit mae"])
    model.config.mask_ratio = 0.0
    of_frames = model(clips.transpose(1, 2).flatten(0, 1), noise=torch.arange(4).expand(4, -1)).last_hidden_state
    assert_close(encoder.tokens(clips), of_frames[:, 1:].reshape(2, 8, -1), atol=1e-5, rtol=1e-5)
    assert_close(encoder(clips), of_frames[:, 0].unflatten(0, (2, 2)).mean(dim=1), atol=1e-5, rtol=1e-5)


LAYER = "encoder.layer.1."
NORM = LAYER + "layernorm_before.weight"
BIAS = LAYER + "attention.attention.query.bias"
DENSE = LAYER + "intermediate.dense.weight"


def without(*names):
    return lambda tensors: [tensors.pop(name) for name in names]


def without_a_bias(tensors):
    # Files have the name of the paper's code, q_bias, which the library renames: a version that doesn't drops it.
    tensors.pop(next(name for name in tensors if name in (BIAS, BIAS.replace("query.bias", "q_bias"))))


def renamed(old, new):
    return lambda tensors: tensors.update({name.replace(old, new): tensors.pop(name) for name in list(tensors)})


def reshaped(name, change):
    return lambda tensors: tensors.update({name: change(tensors[name]).contiguous()})


def one_more_layer(tensors):
    inner = {name: value for name, value in tensors.items() if name.startswith(LAYER)}
    tensors.update({name.replace(".1.", ".2."): value.clone() for name, value in inner.items()})


def without_a_layer(tensors):
    without(*[name for name in tensors if LAYER in name])(tensors)


def of_something_else(tensors):
    tensors.clear()
    tensors["other"] = torch.zeros(2)


MORE = "15 of layers that the encoder lacks"
# What is done to the tensors -> what the refusal counts and names.
BREAKS = {
    "a norm is missing": (without(NORM), rf"matched 31 of 32 tensors .* 1 missing \({NORM}\)"),
    "a bias is missing": (without_a_bias, rf"1 missing \({BIAS}\)"),
    "a layer is missing": (without_a_layer, "matched 17 of 32 .* 15 missing"),
    "all is missing": (of_something_else, "matched 0 of 32"),
    "a layer is renamed": (renamed(LAYER, "encoder.blocks.1."), rf"15 missing .*; {MORE} \(encoder.blocks"),
    "all is renamed": (renamed("encoder.", "trunk."), "matched 2 of 32 tensors"),
    "a matrix is transposed": (reshaped(DENSE, lambda value: value.T), rf"1 of another shape \({DENSE}\)"),
    "a matrix is cut": (reshaped(DENSE, lambda value: value[:-1]), rf"1 of another shape \({DENSE}\)"),
    "a vector is cut": (reshaped(NORM, lambda value: value[:5]), rf"1 of another shape \({NORM}\)"),
    "there is a layer more": (one_more_layer, rf"{MORE} \(encoder.layer.2"),
}


def copied(source, target, form, change):
    """A folder with changed tensors, as safetensors or as a pickle."""
    shutil.copytree(source, target)
    file = target / "model.safetensors"
    tensors = load_file(file)
    change(tensors)
    file.unlink()
    if form == "pickle":
        torch.save(tensors, target / "pytorch_model.bin")
    else:
        save_file(tensors, file, metadata={"format": "pt"})
    return target


@pytest.mark.parametrize("form", ["safetensors", "pickle"])
@pytest.mark.parametrize("broken", BREAKS)
def test_a_broken_checkpoint_is_refused_and_what_is_wrong_named(broken, form, folder, tmp_path):
    change, expected = BREAKS[broken]
    target = copied(folder("videomae"), tmp_path / "model", form, change)
    with pytest.raises(ValueError, match=rf"expected at least 100% of the encoder's tensors.*{expected}"):
        load_encoder(f"hf:{target}")


@pytest.mark.parametrize("form", ["safetensors", "pickle"])
def test_a_checkpoint_without_or_with_another_head_is_loaded_and_says_so(form, folder, tmp_path):
    cases = (
        ("videomae", lambda tensors: tensors.update({"decoder.norm.bias": torch.zeros(3)}), "decoder.norm.bias"),
        ("videomae finetuned", without("classifier.weight", "classifier.bias"), None),
        ("vivit", without("pooler.dense.weight"), "pooler.dense.weight"),
        ("vjepa2", lambda tensors: without(*[name for name in tensors if "predictor" in name])(tensors), None),
    )
    for number, (family, change, ignored) in enumerate(cases):
        encoder = load_encoder(f"hf:{copied(folder(family), tmp_path / str(number), form, change)}")
        assert encoder.report.matched == encoder.report.total
        assert encoder.report.unexpected == ((ignored,) if ignored else ())
        assert "pooler" not in encoder.readouts
    with pytest.raises(ValueError, match="expected pool among cls, mean, mean_std, moments, got 'pooler'"):
        load_encoder(f"hf:{tmp_path / '2'}", pool="pooler")


def test_what_may_be_missing_is_said(folder, tmp_path):
    target = copied(folder("videomae"), tmp_path / "model", "safetensors", without_a_bias)
    assert load_encoder(f"hf:{target}", allow=["*.query.bias"]).report.missing == (BIAS,)
    assert load_encoder(f"hf:{target}", min_matched=0.9).report.matched == 31
    with pytest.raises(ValueError, match="expected min_matched between 0 and 1, got 90"):
        load_encoder(f"hf:{target}", min_matched=90)


@pytest.mark.parametrize("mode", ["space_only", "joint_space_time"])
def test_another_attention_mode_than_that_of_the_weights_is_refused(mode, folder, tmp_path):
    target = shutil.copytree(folder("timesformer"), tmp_path / "model")
    config = json.loads((target / "config.json").read_text())
    (target / "config.json").write_text(json.dumps(config | {"attention_type": mode}))
    with pytest.raises(ValueError, match="of layers that the encoder lacks .*temporal_"):
        load_encoder(f"hf:{target}")


class Evil:
    def __reduce__(self):
        return print, ("code of a pickle ran",)


@pytest.mark.parametrize("form", ["cut safetensors", "cut pickle", "code", "no weights", "no config", "broken config"])
def test_a_damaged_folder_is_told_in_one_line(form, folder, tmp_path, capsys):
    target = tmp_path / "model"
    copied(
        folder("videomae"), target, "pickle" if form in ("cut pickle", "code") else "safetensors", lambda tensors: None
    )
    file = target / ("pytorch_model.bin" if form in ("cut pickle", "code") else "model.safetensors")
    if form.startswith("cut"):
        file.write_bytes(file.read_bytes()[:-2000])
    elif form == "code":
        file.write_bytes(pickle.dumps({"embeddings": Evil()}))
    elif form == "no weights":
        file.unlink()
    elif form == "no config":
        (target / "config.json").unlink()
    else:
        (target / "config.json").write_text("{")
    with pytest.raises(ValueError, match=rf"hf:{target}: expected") as error:
        load_encoder(f"hf:{target}")
    assert "\n" not in str(error.value)
    assert "code of a pickle ran" not in capsys.readouterr().out


def with_keys(folder, target, **keys):
    shutil.copytree(folder, target)
    for file in target.glob("*processor*.json"):
        found = json.loads(file.read_text()) | keys
        file.write_text(json.dumps({key: value for key, value in found.items() if value != "none"}))
    return target


@pytest.mark.parametrize(
    ("keys", "size", "crop", "squash"),
    [
        ({}, (32, 32), 32 / 36, False),
        ({"do_center_crop": False}, (36, 36), 1.0, False),
        ({"size": {"height": 40, "width": 40}}, (32, 32), 32 / 40, True),
        ({"size": {"height": 40, "width": 40}, "do_center_crop": False}, (40, 40), 1.0, True),
        ({"do_resize": False}, (32, 32), 1.0, False),
    ],
)
def test_sizes_are_those_of_the_processor(keys, size, crop, squash, folder, tmp_path):
    spec = load_encoder(f"hf:{with_keys(folder('dinov2'), tmp_path / 'model', **keys)}").spec
    assert (spec.size, spec.crop, spec.squash) == (size, pytest.approx(crop), squash)
    assert spec.preprocessing().squash == squash
    other = load_encoder(f"hf:{tmp_path / 'model'}", size=64).spec  # of another size, and else as the processor says
    assert (other.size, other.crop, other.squash) == ((64, 64), pytest.approx(crop), squash)


def test_a_processor_without_sizes_or_none_at_all_is_told(folder, tmp_path):
    target = with_keys(folder("dinov2"), tmp_path / "model", size="none", crop_size="none")
    with pytest.raises(ValueError, match=r"expected a processor with 'size' or 'crop_size'.*set size=<pixels>"):
        load_encoder(f"hf:{target}")
    assert load_encoder(f"hf:{target}", size=32).spec.size == (32, 32)
    target = with_keys(folder("dinov2"), tmp_path / "other", do_resize=False, do_center_crop=False)
    with pytest.raises(ValueError, match="expected a processor that brings all frames to one size"):
        load_encoder(f"hf:{target}")
    (target / "preprocessor_config.json").unlink()
    with pytest.raises(ValueError, match=r"expected one of .*preprocessor_config.json beside the weights, got none"):
        load_encoder(f"hf:{target}")
    spec = load_encoder(f"hf:{target}", size=32, mean=[0.5] * 3, std=[0.5] * 3, num_frames=3, frame_stride=5).spec
    assert (spec.size, spec.mean, spec.num_frames, spec.frame_stride) == ((32, 32), (0.5,) * 3, 3, 5)


def test_a_hub_out_of_reach_is_one_line_that_says_where_to_put_the_files(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        ValueError, match=r"hf:nobody/nothing: expected a folder.*copy the repository's files into a"
    ) as error:
        load_encoder("hf:nobody/nothing")
    assert "\n" not in str(error.value)


def test_code_of_a_repository_runs_only_if_asked_for(folder, tmp_path):
    target = shutil.copytree(folder("dinov2"), tmp_path / "model")
    save_file(built(FAMILIES["dinov2"]).state_dict(), target / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((target / "config.json").read_text())
    code = {"AutoConfig": "mine.MyConfig", "AutoModel": "mine.MyModel"}
    (target / "config.json").write_text(json.dumps(config | {"model_type": "mine", "auto_map": code}))
    (target / "mine.py").write_text(
        "from transformers import Dinov2Config, Dinov2Model\nclass MyConfig(Dinov2Config):\n    model_type = 'mine'\n"
        "class MyModel(Dinov2Model):\n    config_class = MyConfig\n"
    )
    with pytest.raises(ValueError, match="a repository with code of its own, which is run only if asked for"):
        load_encoder(f"hf:{target}")
    encoder = load_encoder(f"hf:{target}", trust_remote_code=True)
    assert encoder.report.custom_code
    assert "custom code of the repository was run" in str(encoder.report)


def test_random_weights_and_half_precision_are_what_they_say(folder, tmp_path):
    encoder = load_encoder(f"hf:{folder('videomae')}@random")
    assert encoder.report.is_random
    assert "random weights" in str(encoder.report)
    shutil.copytree(folder("videomae"), tmp_path / "bfloat16")
    config = json.loads((tmp_path / "bfloat16" / "config.json").read_text())
    (tmp_path / "bfloat16" / "config.json").write_text(json.dumps(config | {"dtype": "bfloat16"}))
    control = load_encoder(f"hf:{tmp_path / 'bfloat16'}@random")
    assert {value.dtype for value in control.parameters()} == {torch.float32}
    halved = lambda tensors: tensors.update({name: value.half() for name, value in tensors.items()})  # noqa: E731
    encoder = load_encoder(f"hf:{copied(folder('videomae'), tmp_path / 'model', 'safetensors', halved)}")
    assert {value.dtype for value in encoder.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"colour": 1}, "expected options among num_frames, frame_stride, size.* got colour"),
        ({"pool": "attentive"}, "expected pool among mean, mean_std, moments, got 'attentive'.*task=attentive"),
        ({"num_frames": 0}, "whole numbers above 0, got 0"),
        ({"size": 32, "mean": [0.5], "std": [0.0]}, "std above 0"),
    ],
)
def test_other_settings_are_refused(options, message, folder):
    with pytest.raises(ValueError, match=message):
        load_encoder(f"hf:{folder('videomae')}", **options)


def test_a_model_of_text_is_refused(tmp_path):
    config = transformers.BertConfig(vocab_size=99, **TINY)
    transformers.BertModel(config).save_pretrained(tmp_path)
    with pytest.raises(
        ValueError, match="expected a model that takes pixel_values_videos or pixel_values, got BertModel"
    ):
        load_encoder(f"hf:{tmp_path}")


PROCESSORS = {
    "ConvNextImageProcessor": ({"size": {"shortest_edge": 64}}, 0.875, False),
    "ConvNextImageProcessor at 384": ({"size": {"shortest_edge": 384}}, 1.0, True),
    "LevitImageProcessor": ({"size": {"shortest_edge": 64}, "crop_size": {"height": 64, "width": 64}}, 0.877, False),
    "PoolFormerImageProcessor": ({"size": {"shortest_edge": 64}, "crop_size": {"height": 64, "width": 64}}, 0.9, False),
    "BitImageProcessor": (SIZES, 32 / 36, False),
    "ViTImageProcessor": (SQUARE, 1.0, True),
}


def saved(folder, processor, **settings):
    built(FAMILIES["resnet"]).save_pretrained(folder)
    getattr(transformers, processor)(**settings).save_pretrained(folder)
    return f"hf:{folder}"


@pytest.mark.parametrize("kind", PROCESSORS)
def test_the_picture_is_the_one_that_the_processor_makes(kind, tmp_path):
    settings, crop, squash = PROCESSORS[kind]
    processor = getattr(transformers, kind.split()[0])(**settings)
    spec = load_encoder(saved(tmp_path, kind.split()[0], **settings)).spec
    assert (spec.crop, spec.squash) == (pytest.approx(crop, abs=0.005), squash)
    across, down = torch.meshgrid(torch.linspace(0, 255, 384), torch.linspace(0, 255, 256), indexing="xy")
    picture = torch.stack([across, down, (across + down) / 2]).round().byte()
    theirs = torch.as_tensor(processor(images=[picture.permute(1, 2, 0).numpy()], return_tensors="pt")["pixel_values"])
    ours = spec.augment()(picture[None, None], torch.tensor([[256, 384]]))[:, :, 0]
    ours = (ours - torch.tensor(spec.mean).view(3, 1, 1)) / torch.tensor(spec.std).view(3, 1, 1)
    assert_close(ours, theirs, atol=0.06, rtol=0)  # of values with a range of about four


def test_a_processor_of_its_own_ways_is_refused_until_it_is_said_what_it_keeps(tmp_path, monkeypatch):
    class Zooming(transformers.BitImageProcessor):
        def __call__(self, images, **options):
            middle = [picture[64:-64, 96:-96] for picture in images] if options.get("do_resize", True) else images
            return super().__call__(middle, **options)

    target = saved(tmp_path, "BitImageProcessor", **SIZES)
    real = transformers.AutoImageProcessor.from_pretrained
    zooming = lambda folder, **options: Zooming(**real(folder, **options).to_dict())  # noqa: E731
    monkeypatch.setattr(transformers.AutoImageProcessor, "from_pretrained", zooming)
    with pytest.raises(
        ValueError, match=r"0.89 of the height and 0.59 of the width .*, got \(32, 32\) of 0.4\d and 0.3\d"
    ):
        load_encoder(target)
    assert load_encoder(target, crop=0.44).spec.crop == 0.44


def test_a_processor_that_pads_is_refused(folder, tmp_path):
    target = with_keys(folder("dinov2"), tmp_path / "model", crop_size={"height": 64, "width": 64})
    with pytest.raises(ValueError, match=r"\(64, 64\) pixels of 1.00 of the height and 0.67 .* set size="):
        load_encoder(f"hf:{target}")
    assert load_encoder(f"hf:{target}", size=64).spec.size == (64, 64)


def test_a_processor_that_swaps_colors_is_refused(tmp_path):
    target = saved(tmp_path, "MobileViTImageProcessor", **SIZES)
    with pytest.raises(ValueError, match=r"order red, green, blue, got one that makes red \[0.0, 0.0, 1.0\]"):
        load_encoder(target)


@pytest.mark.parametrize(("frames", "stride"), [(8, 32), (16, 16), (96, 4), (4, 4)])
def test_timesformers_stride_is_that_of_its_number_of_frames(frames, stride):
    config = transformers.TimesformerConfig(num_frames=frames)
    assert processor_module._stride(config) == stride
