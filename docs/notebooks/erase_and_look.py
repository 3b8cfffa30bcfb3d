# %% [markdown]
# # Erase and look
#
# Background Erasing removes the background by adding the background: one random frame of a clip is blended into all
# of its frames. It is one line in a training loop. Here we look at what that line does to a clip, and what it leaves
# alone.

# %% tags=["parameters"]
NUM_VIDEOS = 4
RATIO = 0.5  # the largest weight of the added frame; the paper has 0.3

# %%
import matplotlib.pyplot as plt
import torch

import tbe

torch.manual_seed(0)

# %% [markdown]
# ## Some clips
#
# TBE comes with a small data set: actors that move in front of scenes. `tbe.build` makes it from its config, as it
# makes anything else that has one; `prepare` draws the videos once. Replace `paths` by videos of your own if you
# like.

# %%
source = tbe.build("data", "biased_scenes", num_train=NUM_VIDEOS, num_val=2, num_test=2)
source.prepare()
records = source.records("train")
paths = [records.path(index) for index in range(NUM_VIDEOS)]

# %% [markdown]
# A reader opens a video and gives the frames that it is asked for, bytes `(T, C, H, W)`. Networks take clips as `(B,
# C, T, H, W)`.

# %%
open_video = tbe.build("reader", "auto")
clips = torch.stack([open_video(path).frames(range(0, 16, 2)) for path in paths]).transpose(1, 2)
print(clips.shape, clips.dtype)

# %% [markdown]
# ## Erase
#
# `tbe.BackgroundErasing` takes bytes or floats of any range, before or after normalization, on any device. For clips
# `(B, T, C, H, W)` say `layout="BTCHW"`. The weight of the added frame is drawn for each clip, from 0 to `ratio`.

# %%
erase = tbe.BackgroundErasing(ratio=RATIO)
erased = erase(clips)

# %% [markdown]
# A stronger relative: `tbe.InterVideoErasing` takes the frame of another clip of the batch. In our comparisons it
# makes networks far less dependent on the background, with weights up to 0.9.

# %%
replaced = tbe.InterVideoErasing(ratio=0.9)(clips)


# %%
def show(rows, file):
    """Draws one clip a row, with every second frame."""
    num_frames = clips.shape[2] // 2
    figure, axes = plt.subplots(
        len(rows), num_frames, figsize=(1.6 * num_frames, 1.7 * len(rows)), layout="constrained"
    )
    for places, (name, clip) in zip(axes, rows.items(), strict=True):
        for place, frame in zip(places, clip[:, ::2].unbind(dim=1), strict=True):
            place.imshow(frame.permute(1, 2, 0))
            place.set(xticks=[], yticks=[])
        places[0].set_ylabel(name)
    figure.savefig(file)


show({"clip": clips[0], "a frame of its own": erased[0], "of another clip": replaced[0]}, "erased.png")

# %% [markdown]
# In the second row the scene has not changed: a frame of the clip has the same scene, only the actor leaves a ghost.
# In the third row there are two scenes in one, and the own one says less about the clip. What moves is the same in
# all rows.
#
# ## What is left
#
# That can be said exactly. The new frame is `(1 - w) * frame + w * added`, and `added` is the same in all frames, so
# that it cancels out in the difference of two frames: every difference shrinks by the same factor `1 - w`, and keeps
# its direction. Motion stays, weaker. What stands still stays, too, where the
# frame is the clip's own; the frame of another video replaces a part of it.

# %%
floats = clips.float()
mixed = tbe.BackgroundErasing(ratio=RATIO)(floats)
before, after = floats.diff(dim=2), mixed.diff(dim=2)
factors = (before * after).sum(dim=(1, 2, 3, 4)) / before.square().sum(dim=(1, 2, 3, 4))
for number, factor in enumerate(factors):
    left = (after[number] - factor * before[number]).abs().max()
    print(f"clip {number}: weight {1 - factor:.2f}, motion times {factor:.2f}, and nothing else ({left:.0e})")

# %%
figure, axes = plt.subplots(1, 3, figsize=(8, 2.6), layout="constrained")
pictures = {"a frame": floats[0, :, 0], "motion before": before[0].abs().mean(dim=1)}
pictures["motion after"] = after[0].abs().mean(dim=1)
brightest = pictures["motion before"].mean(dim=0).max()
for place, (name, picture) in zip(axes, pictures.items(), strict=True):
    if name == "a frame":
        place.imshow(picture.permute(1, 2, 0) / 255)
    else:
        place.imshow(picture.mean(dim=0), vmin=0, vmax=brightest, cmap="magma")
    place.set(title=name, xticks=[], yticks=[])
figure.savefig("motion.png")

# %% [markdown]
# ## In your training loop
#
# Erase one of the views, and ask for the same features. That is all.

# %%
network = tbe.build("backbone", "tiny")
inputs = floats / 255
features = network(inputs)
distracted = network(erase(inputs))
loss = torch.nn.functional.mse_loss(distracted, features.detach())
loss.backward()
print(f"loss {loss:.4f}")

# %% [markdown]
# Next: [pretrain a network with it, and probe what it has learned](pretrain_and_probe.md).
