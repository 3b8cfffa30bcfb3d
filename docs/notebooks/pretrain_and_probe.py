# %% [markdown]
# # Pretrain and probe
#
# Learn from videos without labels, freeze the network, and ask what it has learned: the action, or the background?
#
# We do it twice, with the same method and without and with backgrounds erased, on the data set that comes with
# TBE: short clips of an actor who moves in front of a scene. Nine times in ten a training clip of an action has the
# same scene, so that a network can do well by looking at the scene alone. The test set `swap` puts each action in
# front of a scene of another one: there the shortcut fails.
#
# All parts are plain PyTorch modules, and the training loop is ours. At the end you find the command that does the
# same with validation, checkpoints and several GPUs.

# %% tags=["parameters"]
NUM_TRAIN, NUM_TEST = 400, 160  # videos
EPOCHS = 40  # some minutes for each network on a laptop
BATCH_SIZE = 40
WIDTHS = [8, 16, 32, 64]  # channels of the four stages of the network

# %%
import matplotlib.pyplot as plt
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import tbe

# %% [markdown]
# ## The videos
#
# `tbe.build` makes anything that has a config in TBE, here the data set. `prepare` draws it once and keeps it;
# `records` are the videos of a split, with their labels.

# %%
source = tbe.build(
    "data", "biased_scenes", num_train=NUM_TRAIN, num_test=NUM_TEST, num_val=8,
    num_actions=4, num_scenes=4, actor_size=1.8, scene_variety=0.0,
)  # fmt: skip
source.prepare()
open_video = tbe.build("reader", "auto")


def paths_of(split):
    records = source.records(split)
    return [records.path(index) for index in range(len(records))]


def labels_of(split):
    return torch.from_numpy(source.records(split).labels)


# %% [markdown]
# The clips of a small data set fit into memory. Of each video we keep two, one after the other, of 8 frames that are
# two apart: bytes `(B, T, C, H, W)`.

# %%
videos = [open_video(path) for path in paths_of("train")]
train = torch.stack([video.frames(range(0, 16, 2)) for video in videos])
later = torch.stack([video.frames(range(16, 32, 2)) for video in videos])
print(f"{len(train)} videos, clips of {tuple(train.shape[1:])}, {2 * train.numel() / 2**20:.0f} MiB")

# %% [markdown]
# ## Pretraining
#
# MoCo makes two views of a clip, the query and the key, and asks the network to find the key of a query among those of
# other videos. `augment` draws a crop and a flip for each clip, and normalizes it. Two things keep the network from
# solving this by the background: the other clip of the same video, which has the same background, is a negative too;
# and `erase` mixes the frame of another video into the query.


# %%
def new_network():
    torch.manual_seed(0)
    return tbe.build("backbone", "tiny", widths=WIDTHS, stem_stride=[2, 2, 2])


def pretrain(erase):
    network = new_network()
    # The queue of earlier keys is well below the number of videos, or a video would be a negative of itself.
    settings = {"queue_size": NUM_TRAIN * 2 // 3, "momentum": 0.99, "negative": "same_video", "encoder": {"mlp": True}}
    method = tbe.build("method", "moco", backbone=network, **settings)
    loss_of = tbe.build("loss", "infonce", temperature=0.1)
    augment = tbe.build("augment", "crop_flip", clip="8x2_32", crop={"scale": [0.8, 1.0]})
    optimizer = torch.optim.AdamW(method.parameters(), lr=2e-3, weight_decay=1e-4)
    losses = []
    for _ in range(EPOCHS):
        for batch in torch.randperm(NUM_TRAIN).split(BATCH_SIZE):
            sizes = torch.tensor(train.shape[-2:]).expand(len(batch), 2)  # of videos that could differ in size
            query, key, negative = (augment(clips[batch], sizes) for clips in (train, train, later))
            loss = loss_of(*method(erase(query), key, negative))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            method.after_step()  # the network of the keys follows
            losses.append(loss.item())
    return network, losses


ERASE = {
    "MoCo": torch.nn.Identity(),
    "MoCo, backgrounds erased": tbe.InterVideoErasing(ratio=0.9),
}
networks, curves = {"untrained": new_network()}, {}
for name, erase in ERASE.items():
    networks[name], curves[name] = pretrain(erase)
    print(f"{name}: loss {curves[name][0]:.2f} -> {curves[name][-1]:.2f}")

# %% [markdown]
# The loss is higher with another video's frame in the query: the task is harder, and that is the point.

# %%
figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
for name, losses in curves.items():
    axes.plot(losses, label=name)
axes.set(xlabel="step", ylabel="loss")
axes.legend()
figure.savefig("losses.png")

# %% [markdown]
# ## Probing
#
# `tbe.embed` turns files into features, one row for each video. It has to know how clips are made: `tbe.load` would
# say, our own networks need it said. Then a linear classifier on the frozen features is trained on the training
# videos' actions, and asked about videos with the usual scenes (`iid`) and with swapped ones (`swap`).

# %%
PREPROCESSING = tbe.Preprocessing(
    num_frames=8, stride=2, size=32, mean=(0.43216, 0.394666, 0.37645), std=(0.22803, 0.22145, 0.216989)
)


def probe(network):
    features = {
        split: tbe.embed(network, paths_of(split), num_clips=2, preprocessing=PREPROCESSING)
        for split in ("train", "iid", "swap")
    }
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    classifier.fit(features["train"], labels_of("train"))
    return {split: 100 * classifier.score(features[split], labels_of(split)) for split in ("iid", "swap")}


accuracy = {name: probe(network) for name, network in networks.items()}
for name, found in accuracy.items():
    print(f"{name:26} iid {found['iid']:5.1f} %   swap {found['swap']:5.1f} %")

# %%
figure, axes = plt.subplots(figsize=(7, 2.8), layout="constrained")
for offset, split in enumerate(("iid", "swap")):
    places = [number + 0.35 * offset for number in range(len(accuracy))]
    bars = axes.barh(places, [found[split] for found in accuracy.values()], height=0.33, label=split)
    axes.bar_label(bars, fmt="%.0f", padding=3)
axes.axvline(100 / source.num_classes, color="gray", linestyle=":", label="chance")
axes.set(xlabel="actions recognized, percent", xlim=(0, 110))
axes.set_yticks([number + 0.175 for number in range(len(accuracy))], list(accuracy))
axes.invert_yaxis()
figure.legend(loc="outside upper center", ncols=3)
figure.savefig("probe.png")

# %% [markdown]
# High on `iid` and below chance on `swap` means: the network sees the scene, and takes it for the action. With the
# backgrounds erased the network has to look at the motion: it gives up little on `iid`, and recognizes several times as
# many actions where the shortcut fails, without having seen a label in pretraining.
#
# These are small networks and one seed. The comparison with three seeds, more variants and intervals is
# `python train.py sweep=proof`. To pretrain with validation, checkpoints and exact resume, on one or many GPUs:
#
# ```bash
# tbe train experiment=biased_scenes_be be=inter
# tbe eval "task=[linear,retrieval]" "checkpoint=[random,latest]" "query=[iid,swap]"
# ```
#
# and from Python again `network = tbe.load("latest")`.
