package main

import (
	"slices"
	"time"
)

// Summary is the speed of some transfers.
type Summary struct {
	Final     int     `json:"final"` // transfers
	PerSecond float64 `json:"per_second"`
	P50       span    `json:"p50_ns"` // of submit to final
	P99       span    `json:"p99_ns"`
	Max       span    `json:"max_ns"`
}

// summarize looks at the transfers that became final from one instant to
// another.
func summarize(landed []flight, from, to time.Time) Summary {
	var took []time.Duration
	for _, f := range landed {
		if !f.final.Before(from) && f.final.Before(to) {
			took = append(took, f.final.Sub(f.due))
		}
	}
	slices.Sort(took)
	s := Summary{Final: len(took), P50: percentile(took, 50), P99: percentile(took, 99), Max: percentile(took, 100)}
	if d := to.Sub(from); d > 0 {
		s.PerSecond = float64(len(took)) / d.Seconds()
	}
	return s
}

// percentile returns the least of the sorted values that is not less than
// percent of them: the nearest rank. It is 0 where there are none.
func percentile(sorted []time.Duration, percent int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := (len(sorted)*percent + 99) / 100
	return sorted[max(rank, 1)-1]
}

// longestGap is the longest time from one instant to another in which nothing
// became final.
func longestGap(landed []flight, from, to time.Time) time.Duration {
	last, longest := from, time.Duration(0)
	for _, f := range landed {
		if f.final.Before(from) || !f.final.Before(to) {
			continue
		}
		longest, last = max(longest, f.final.Sub(last)), f.final
	}
	return max(longest, to.Sub(last))
}

// between counts the instants from one to another.
func between(all []time.Time, from, to time.Time) (n int) {
	for _, at := range all {
		if !at.Before(from) && at.Before(to) {
			n++
		}
	}
	return n
}
