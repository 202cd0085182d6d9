"""Many images, or images that are large, in pieces: planned first, done by several processes, and taken up again after anything.

A piece is a frame or a tile of one, or a group of neighboring frames that help each other. What is done of a file lies in a folder of its
own, with values and a record for each piece, until its output is put together from them. No two pieces share a file, so any process may be
ended at any time.
"""
