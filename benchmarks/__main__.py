"""`make bench`: every benchmark in turn."""

from benchmarks import allocator, head, input_path, start_up, tracking_share

for benchmark in (start_up, input_path, tracking_share, head, allocator):
    benchmark.main()
