"""One streaming pass over a workload: taps on the residual stream, running sums, and the profile they become."""
