"""Packs videos into shards: tar files of about 1 GB with an index, for file systems and buckets that mind small files.

Takes the videos of lists, or all below --root, and writes into --out, for each list:

  <list>-000000.tar, ...   for each video <key>.mp4 (or its own suffix), <key>.cls with its label and <key>.json with
                           path, label, number of frames, scene and group: WebDataset's naming, which its tools read
  <list>-000000.csv, ...   where each video lies in it: key,offset,size,crc32,path,label,num_frames,scene,group
  <list>.txt               the list, with the same paths and with numbers of frames

and index.npz, by which data.root=<out> finds the videos of all lists. A video of several lists lies in the shards of
the first one. Videos are copied as they are, in an order that is shuffled by --seed, so that whoever reads a shard from
beginning to end gets all classes. Videos that can't be opened are printed, left out, and named in shards_report.csv,
and the command exits with 1 at the end. With --part k/n a machine packs its part of the videos, in a folder of its own,
and --join then numbers the shards of all parts. A stopped run resumes when it is started again: videos in the report
are not opened again, and shards that are whole are kept. The same videos, settings and n give the same files.
"""

from tbe.prepare.tools.shards.command import add_arguments, run

__all__ = ["add_arguments", "run"]
