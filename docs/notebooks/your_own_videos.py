# %% [markdown]
# # Your own videos
#
# A folder of videos and a trained network: turn the videos into features, find those that look alike, draw a map of
# all of them, and train a classifier on a few labels.

# %% tags=["parameters"]
FOLDER = None  # your videos, in one folder or in a folder for each class; None: the embedded data set
CHECKPOINT = "latest"  # a checkpoint, the folder of a run, or "latest": the newest run below runs/
NUM_CLIPS = 4  # clips of each video, averaged

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import torch

import tbe

torch.manual_seed(0)

# %% [markdown]
# ## The network
#
# Any checkpoint of TBE will do. If you have none yet, `tbe train` makes one in a minute or two, in `runs/demo`. A
# network that is loaded knows how its clips are made.

# %%
network = tbe.load(CHECKPOINT)
print(network.preprocessing)

# %% [markdown]
# Weights of other projects are recognized as well, by their names and shapes. Only the architecture has to be said,
# and how the clips are made:
#
# ```python
# network = tbe.load("r3d_18_kinetics.pth", backbone="tv_r3d_18", preprocessing="16x4_112")
# ```
#
# ## The videos
#
# A list of paths is all that is needed. Without a folder of your own we take the test videos of the embedded data
# set.

# %%
if FOLDER is None:
    source = tbe.build("data", "biased_scenes", num_train=8, num_val=2, num_test=40)
    source.prepare()
    records = source.records("iid")
    paths = [Path(records.path(index)) for index in range(len(records))]
    classes = [source.class_names[label] for label in records.labels]
else:
    paths = sorted(path for path in Path(FOLDER).rglob("*") if path.suffix.lower() in {".mp4", ".avi", ".mkv", ".webm"})
    classes = [path.parent.name for path in paths]
print(f"{len(paths)} videos of {len(set(classes))} classes")

# %% [markdown]
# ## Features
#
# One row for each video, in the same order. Files that can't be read are no reason to start again: with
# `on_error="skip"` their rows are NaN, and a warning names them. `num_workers=4` reads ahead in four processes.

# %%
features = tbe.embed(network, paths, num_clips=NUM_CLIPS, normalize=True, on_error="skip")
readable = ~features.isnan().any(dim=1)
paths = [path for path, is_readable in zip(paths, readable, strict=True) if is_readable]
classes = [name for name, is_readable in zip(classes, readable, strict=True) if is_readable]
features = features[readable]
print(features.shape)

# %% [markdown]
# ## Which are alike?
#
# Rows have length 1, so that products of rows are cosine similarities.

# %%
similarity = features @ features.T
similarity.fill_diagonal_(-1)  # nobody is their own neighbor
neighbors = similarity.topk(3, dim=1).indices

open_video = tbe.build("reader", "auto")


def middle_frame(path):
    video = open_video(str(path))
    return video.frames([len(video) // 2])[0].permute(1, 2, 0)


queries = range(min(4, len(paths)))
figure, axes = plt.subplots(len(queries), 4, figsize=(7, 1.9 * len(queries)), layout="constrained", squeeze=False)
for row, query in zip(axes, queries, strict=True):
    for place, index in zip(row, [query, *neighbors[query].tolist()], strict=True):
        place.imshow(middle_frame(paths[index]))
        place.set(xticks=[], yticks=[])
        place.set_title(classes[index], fontsize=8, color="black" if classes[index] == classes[query] else "firebrick")
    row[0].set_ylabel("query")
figure.savefig("neighbors.png")

# %% [markdown]
# Look at the wrong ones, in red: is it the background that they share with the query? Networks that were not trained
# against it often find the scene rather than the action.
#
# ## A map
#
# The two directions in which the features differ most.

# %%
centered = features - features.mean(dim=0)
_, _, directions = torch.pca_lowrank(centered, q=2, center=False)
points = centered @ directions
figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
for name in sorted(set(classes)):
    of_class = torch.tensor([other == name for other in classes])
    axes.scatter(*points[of_class].T, s=18, label=name)
axes.set(xticks=[], yticks=[])
axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
figure.savefig("map.png")

# %% [markdown]
# ## A classifier
#
# Half of the videos with their labels, and a linear classifier: how many of the other half does it recognize?

# %%
names = sorted(set(classes))
labels = torch.tensor([names.index(name) for name in classes])
order = torch.randperm(len(labels))
train, test = order[: len(order) // 2], order[len(order) // 2 :]
head = torch.nn.Linear(features.shape[1], len(names))
scaled = (features - features[train].mean(dim=0)) / (features[train].std(dim=0) + 1e-6)
optimizer = torch.optim.AdamW(head.parameters(), lr=0.01, weight_decay=0.1)
for _ in range(200):
    loss = torch.nn.functional.cross_entropy(head(scaled[train]), labels[train])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
right = (head(scaled[test]).argmax(dim=1) == labels[test]).float().mean()
print(f"{100 * right:.0f} % of {len(test)} videos, by chance {100 / len(names):.0f} %")

# %% [markdown]
# ## Train on them
#
# Features of a network that has seen videos like yours are better. Pretraining needs no labels; `tbe prepare` writes
# the lists of the videos, and `tbe train` goes on from any checkpoint or weights:
#
# ```bash
# tbe prepare folder --root <videos> --out <lists>
# tbe train experiment=ucf101 variant=recommended name=mine data=folder data.root=<videos> data.lists=<lists>
# tbe train stage=finetune data=folder data.root=<videos> data.lists=<lists> init_from=latest
# ```
