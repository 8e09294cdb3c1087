package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Report is everything that one run of the bench measured.
type Report struct {
	Machine Machine  `json:"machine"`
	Options Options  `json:"options"`
	Results []Result `json:"results"`
}

// print writes tables of at most 80 columns.
func (r Report) print(to io.Writer) error {
	var b strings.Builder
	m := r.Machine
	fmt.Fprintf(&b, "%s, %d cores, %s, %s\n", m.Processor, m.Cores, m.Go, m.When.Format(time.RFC3339))
	fmt.Fprintf(&b, "load of the machine %.1f before, %.1f after (of %d cores)\n", m.LoadBefore[0], m.LoadAfter[0], m.Cores)
	r.printSpeed(&b)
	r.printCost(&b)
	r.printBlocks(&b)
	r.printKill(&b)
	r.printIdle(&b)
	r.printTask(&b)
	_, err := io.WriteString(to, b.String())
	return err
}

// each writes a table: a title, a head, and a row for every result that has one.
func (r Report) each(b *strings.Builder, title, head string, row func(Result) string) {
	var rows []string
	for _, x := range r.Results {
		if text := row(x); text != "" {
			rows = append(rows, fmt.Sprintf("%3d %s", x.Validators, text))
		}
	}
	if len(rows) > 0 {
		fmt.Fprintf(b, "\n%s\n  n %s\n%s\n", title, head, strings.Join(rows, "\n"))
	}
}

func (r Report) printSpeed(b *strings.Builder) {
	r.each(b, "One transfer at a time, submit to final", "    count      p50      p99      max  CPU µs/tx and process", func(x Result) string {
		if x.Lone == nil {
			return ""
		}
		return fmt.Sprintf("%9d %s %s %s %10.0f", x.Lone.Final, ms(x.Lone.P50), ms(x.Lone.P99), ms(x.Lone.Max), x.Lone.CPU)
	})
	mode := fmt.Sprintf("%d under way at once (closed loop)", r.Options.Inflight)
	if r.Options.Rate > 0 {
		mode = fmt.Sprintf("%g a second (open loop)", r.Options.Rate)
	}
	r.each(b, "Load for "+r.Options.Load.String()+", "+mode, "     tx/s      p50      p99      max  block/s tx/block", func(x Result) string {
		if x.Load == nil {
			return ""
		}
		l := x.Load
		text := fmt.Sprintf("%9.0f %s %s %s %8.1f %8.0f", l.PerSecond, ms(l.P50), ms(l.P99), ms(l.Max), l.Blocks, l.InBlock)
		if l.Refusals > 0 || l.Unfinished > 0 || l.Lost > 0 {
			text += fmt.Sprintf("\n    (%d refusals for want of room; %d never seen final; %d events lost)", l.Refusals, l.Unfinished, l.Lost)
		}
		if l.Starved {
			text += "\n    (more could have been sent: too few transfers were signed)"
		}
		return text
	})
}

func (r Report) printCost(b *strings.Builder) {
	r.each(b, "Cost of the load, per process", "CPU µs/tx   RSS MB  largest  wrote B/tx  read B/tx  bench µs/tx", func(x Result) string {
		if x.Load == nil {
			return ""
		}
		l := x.Load
		return fmt.Sprintf("%9.0f %8.0f %8.0f %11.0f %10.0f %12.0f", l.CPU, mb(l.RSS), mb(l.LargestRSS), l.Wrote, l.Read, l.Bench)
	})
}

// printBlocks tells what a height costs, whatever is in it.
func (r Report) printBlocks(b *strings.Builder) {
	head := "syncs: store   signer   frames sent   bytes sent   gossip"
	row := func(p PerBlock) string {
		return fmt.Sprintf("%12.1f %8.1f %13.1f %12.0f %8.1f", p.StoreSyncs, p.SignerSyncs, p.Frames, p.FrameBytes, p.Gossip)
	}
	r.each(b, "A block of a lone transfer, per process", head, func(x Result) string {
		if x.Lone == nil {
			return ""
		}
		return row(x.Lone.PerBlock)
	})
	r.each(b, "A block of the load, per process", head, func(x Result) string {
		if x.Load == nil {
			return ""
		}
		return row(x.Load.Cost)
	})
}

func (r Report) printKill(b *strings.Builder) {
	for _, loss := range []struct {
		title string
		of    func(Result) *Loaded
	}{
		{"One validator killed in the middle of the load", func(x Result) *Loaded { return x.Load }},
		{"One validator cut off, without a FIN", func(x Result) *Loaded { return x.CutOff }},
	} {
		r.each(b, loss.title+" (after: from 1 s later on)", "tx/s before    after  p99 before    after  longest gap", func(x Result) string {
			l := loss.of(x)
			if l == nil || l.Before == nil {
				return ""
			}
			return fmt.Sprintf("%11.0f %8.0f  %s %s %s", l.Before.PerSecond, l.After.PerSecond, wide(l.Before.P99, 10), ms(l.After.P99), wide(l.Gap, 12))
		})
	}
}

func (r Report) printIdle(b *strings.Builder) {
	r.each(b, "Idle for "+r.Options.Idle.String()+", per process (the last three of all)", "CPU %core  busiest  calls/s  wrote B/s   blocks  frames  gossip  syncs", func(x Result) string {
		if x.Idle == nil {
			return ""
		}
		i := x.Idle
		busiest := i.BusiestMS / 10 / i.Span.Seconds()
		return fmt.Sprintf("%9.2f %8.2f %8.1f %10.0f %8d %7d %7d %6d", 100*i.CPU, busiest, i.Calls, i.Wrote, i.Blocks, i.Frames, i.Gossip, i.Syncs)
	})
}

func (r Report) printTask(b *strings.Builder) {
	r.each(b, "Consensus in a task of 15 s", "operations submit to final, sum   share", func(x Result) string {
		if x.Task == nil {
			return ""
		}
		return fmt.Sprintf("%10d %20s %6.2f %%", x.Task.Operations, ms(x.Task.Consensus), 100*x.Task.Share)
	})
}

// ms writes a time in 8 columns.
func ms(d time.Duration) string { return wide(d, 8) }

func wide(d time.Duration, columns int) string {
	return fmt.Sprintf("%*s", columns, fmt.Sprintf("%.1fms", d.Seconds()*1000))
}

func mb(bytes uint64) float64 { return float64(bytes) / 1e6 }
