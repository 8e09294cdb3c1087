// Command peers puts other systems under the load of sage-bench, on the same
// machine and in the same run: n processes over loopback, so many transactions
// under way at once, the time from submit to final. README.md of sage-bench
// says what is alike and what is not.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The systems.
const (
	cometSigned   = "cometbft"       // its application checks a signature for each transaction
	cometUnsigned = "cometbft-nosig" // its application checks nothing
	hotStuff      = "hotstuff"       // no signature for each command, and nothing on disk
	sage          = "sage"
)

// options is what is measured.
type options struct {
	systems  []string
	n        int
	inflight int
	load     time.Duration
	warmup   time.Duration
	lone     time.Duration
	sage     string // the binary of sage-bench
	json     bool
}

// result is what one system did.
type result struct {
	System    string   `json:"system"`
	Lone      *summary `json:"lone,omitempty"` // one transaction at a time
	Load      summary  `json:"load"`
	CPU       float64  `json:"cpu_us_per_transaction_and_process"`
	RSS       uint64   `json:"rss_bytes"` // mean
	Submitted int      `json:"submitted"`
}

func main() {
	processMain()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func parse(args []string, said io.Writer) (o options, err error) {
	f := flag.NewFlagSet("peers", flag.ContinueOnError)
	f.SetOutput(said)
	systems := f.String("systems", strings.Join([]string{sage, cometSigned, cometUnsigned, hotStuff}, ","), "`LIST` of systems")
	f.IntVar(&o.n, "validators", 4, "processes of each")
	f.IntVar(&o.inflight, "inflight", 256, "transactions under way at once")
	f.DurationVar(&o.load, "load", 10*time.Second, "how long the load lasts")
	f.DurationVar(&o.warmup, "warmup", time.Second, "beginning of the load that does not count")
	f.DurationVar(&o.lone, "lone", 3*time.Second, "how long one transaction at a time is sent")
	f.StringVar(&o.sage, "sage", "sage-bench", "`PATH` of sage-bench, for "+sage)
	f.BoolVar(&o.json, "json", false, "print JSON")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	o.systems = strings.Split(*systems, ",")
	for _, s := range o.systems {
		if !slices.Contains([]string{sage, cometSigned, cometUnsigned, hotStuff}, s) {
			return o, fmt.Errorf("there is no system %q", s)
		}
	}
	if o.n < 1 || o.n > 100 || o.inflight < 1 || o.inflight > 10_000 || o.warmup >= o.load {
		return o, errors.New("want 1 to 100 validators, 1 to 10000 under way, and a warm-up shorter than the load")
	}
	return o, nil
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	o, err := parse(args, progress)
	if err != nil {
		return err
	}
	before := loadAverage()
	var results []result
	for _, system := range o.systems {
		fmt.Fprintf(progress, "%s, %d processes\n", system, o.n)
		measure := measureComet
		switch system {
		case sage:
			measure = measureSage
		case hotStuff:
			measure = measureHotStuff
		}
		r, err := measure(ctx, o, system)
		if err != nil {
			return fmt.Errorf("%s: %w", system, err)
		}
		results = append(results, r)
	}
	if o.json {
		return json.NewEncoder(out).Encode(results)
	}
	return print(out, o, results, before, loadAverage())
}

// print writes a table of at most 80 columns; the ratio is to the first row.
func print(to io.Writer, o options, results []result, before, after float64) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d processes each, %d under way at once for %v; load of the machine %.1f, then %.1f\n\n", o.n, o.inflight, o.load, before, after)
	fmt.Fprintln(&b, "system              tx/s  ratio      p50      p99  CPU µs/tx  RSS MB  lone p50")
	for _, r := range results {
		lone := "-"
		if r.Lone != nil {
			lone = ms(r.Lone.P50)
		}
		fmt.Fprintf(&b, "%-15s %8.0f %6.2f %8s %8s %10.0f %7.0f %9s\n", r.System, r.Load.PerSecond,
			r.Load.PerSecond/max(results[0].Load.PerSecond, 1), ms(r.Load.P50), ms(r.Load.P99), r.CPU, float64(r.RSS)/1e6, lone)
	}
	_, err := io.WriteString(to, b.String())
	return err
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1fms", d.Seconds()*1000) }

// measureSage runs sage-bench with the same load.
func measureSage(ctx context.Context, o options, system string) (result, error) {
	cmd := exec.CommandContext(ctx, o.sage, "--json", "--validators", strconv.Itoa(o.n), "--inflight", strconv.Itoa(o.inflight),
		"--load", o.load.String(), "--warmup", o.warmup.String(), "--lone", o.lone.String(), "--idle", "0")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	cmd.Stderr = os.Stderr
	raw, err := cmd.Output()
	if err != nil {
		return result{}, err
	}
	var report struct {
		Results []struct {
			Lone *summary `json:"lone"`
			Load struct {
				summary
				CPU float64 `json:"cpu_us_per_transfer_and_process"`
				RSS uint64  `json:"rss_bytes"`
			} `json:"load"`
		} `json:"results"`
	}
	if err := json.Unmarshal(raw, &report); err != nil || len(report.Results) != 1 {
		return result{}, fmt.Errorf("sage-bench says %.80q: %w", raw, err)
	}
	r := report.Results[0]
	return result{System: system, Lone: r.Lone, Load: r.Load.summary, CPU: r.Load.CPU, RSS: r.Load.RSS, Submitted: r.Load.Final}, nil
}
