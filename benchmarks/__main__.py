"""`make bench`: every benchmark in turn, each in this process."""

from benchmarks import input_path, start_up, tracking_share

for benchmark in (start_up, input_path, tracking_share):
    benchmark.main()
