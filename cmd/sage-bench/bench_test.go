package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestMain lets the test's own binary be the validators' process, as the
// bench's is.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == validatorArg {
		os.Exit(exitCode(runValidator(os.Stdin, os.Stdout, os.Stderr), os.Stderr))
	}
	os.Exit(m.Run())
}

func TestOneValidatorIsMeasuredFromGenesisToTable(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes; leave out -short")
	}
	r := runBench(t, "--validators", "1", "--lone", "300ms", "--idle", "100ms", "--load", "600ms", "--warmup", "100ms", "--inflight", "4")
	if len(r.Results) != 1 || r.Results[0].Validators != 1 {
		t.Fatalf("results %+v, want one, of 1 validator", r.Results)
	}
	lone, load, idle := r.Results[0].Lone, r.Results[0].Load, r.Results[0].Idle
	if lone == nil || lone.Final == 0 || lone.P50 <= 0 || lone.P50 > lone.P99 || lone.P99 > lone.Max {
		t.Errorf("one at a time: %+v, want some final, with latencies in order", lone)
	}
	if load == nil || load.Final == 0 || load.Blocks <= 0 || load.RSS == 0 || load.Unfinished != 0 || load.Lost != 0 || load.Starved {
		t.Errorf("load: %+v, want some final, in blocks, and none lost", load)
	}
	if idle == nil || idle.Blocks+int(idle.Frames+idle.Gossip+idle.Syncs) != 0 {
		t.Errorf("idle: %+v, want no block, message or sync", idle)
	}
	if lone != nil && (lone.StoreSyncs < 1 || lone.SignerSyncs < 1) {
		t.Errorf("one at a time: %+v, want a sync or more in each block", lone.PerBlock)
	}
	var table strings.Builder
	if err := r.print(&table); err != nil {
		t.Fatal(err)
	}
	narrow(t, table.String())
}

// Of four validators one is killed, and of four others one falls silent: the rest
// go on, and nothing that was started stays.
func TestTheRestGoOnWithoutAValidator(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes; leave out -short")
	}
	r := runBench(t, "--kill", "--lone", "0", "--idle", "0", "--load", "4s", "--warmup", "0", "--inflight", "8")
	for loss, load := range map[string]*Loaded{"killed": r.Results[0].Load, "cut off": r.Results[0].CutOff} {
		if load == nil || load.Before.Final == 0 || load.After.Final == 0 || load.Unfinished != 0 {
			t.Errorf("one of four is %s: %+v, want transfers final before and after, and none left", loss, load)
		}
	}
	var table strings.Builder
	if err := r.print(&table); err != nil {
		t.Fatal(err)
	}
	narrow(t, table.String())
}

// narrow demands that a text fits a terminal.
func narrow(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > 80 {
			t.Errorf("a line of %d columns, want at most 80: %s", n, line)
		}
	}
}

func TestAnOpenLoopSendsAtItsRate(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes; leave out -short")
	}
	r := runBench(t, "--validators", "1", "--lone", "0", "--idle", "0", "--load", "1s", "--warmup", "0", "--rate", "50")
	load := r.Results[0].Load
	if load == nil || load.Starved || load.Final+load.Unfinished > 50 || load.Final == 0 {
		t.Errorf("load %+v, want at most 50 sent in one second, and some final", load)
	}
}

// runBench runs the bench and returns what it prints. Whatever it started must
// be gone then.
func runBench(t *testing.T, args ...string) Report {
	t.Helper()
	var out, progress bytes.Buffer
	if err := run(t.Context(), append(args, "--json"), &out, &progress); err != nil {
		t.Fatalf("%v\n%s", err, progress.String())
	}
	var r Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAValidatorEndsWithWhoeverStartedIt(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes; leave out -short")
	}
	o, err := parseOptions([]string{"--validators", "1"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	f, err := found(t.Context(), o, 1, newAccounts(1, 1))
	if err != nil {
		t.Fatal(errors.Join(err, f.end()))
	}
	v := f.all[0]
	if err := v.stdin.Close(); err != nil { // what the kernel does when the bench is killed
		t.Fatal(err)
	}
	select {
	case <-v.gone:
	case <-time.After(20 * time.Second):
		t.Error("the validator goes on without the bench")
	}
	if err := f.end(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(f.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after the end, %s: %v, want it gone", f.dir, err)
	}
}

func TestAnInterruptedStartLeavesNothing(t *testing.T) {
	o, err := parseOptions([]string{"--validators", "3"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f, err := found(ctx, o, 3, newAccounts(1, 1))
	if err == nil {
		t.Error("a federation was founded in no time")
	}
	if err := f.end(); err != nil {
		t.Error(err)
	}
	for _, v := range f.all {
		if v.cmd != nil && v.cmd.ProcessState == nil {
			t.Errorf("%s still runs", v.name)
		}
	}
}

func TestOptions(t *testing.T) {
	for _, tt := range []struct {
		name string
		args string
		want string // in the error; empty for none
	}{
		{"defaults", "", ""},
		{"all sizes", "--validators 1,4,7,28", ""},
		{"open loop", "--rate 500", ""},
		{"two validators are none", "--validators 2", "not 2"},
		{"no number", "--validators 4,x", `"x"`},
		{"too many under way", "--inflight 5000", "--inflight is 5000"},
		{"nothing under way", "--inflight 0", "--inflight is 0"},
		{"rate below nothing", "--rate -1", "--rate is -1"},
		{"warm-up longer than the load", "--load 1s --warmup 2s", "--warmup is 2s"},
		{"one of three cannot be lost", "--validators 4,3 --kill", "have 3"},
		{"nobody works for itself", "--validators 1 --task", "have 1"},
		{"transport", "--transport carrier-pigeon", "carrier-pigeon"},
		{"profile", "--profile huge", "huge"},
		{"stray argument", "4", `no argument "4"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parseOptions(strings.Fields(tt.args), io.Discard)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("error %v, want none", err)
			case tt.want != "" && (!errors.Is(err, errUsage) || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("error %v, want a usage error with %q", err, tt.want)
			}
		})
	}
}

func TestARateNeedsNoTransfersUnderWay(t *testing.T) {
	o, err := parseOptions([]string{"--rate", "500", "--load", "4s"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if have := o.accounts() * o.share(); o.Inflight != 0 || have < 2000 {
		t.Errorf("%d under way and %d transfers, want 0 and those of 4 s at 500 a second", o.Inflight, have)
	}
}

func TestPercentileIsTheNearestRank(t *testing.T) {
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(i+1))
	}
	for _, tt := range []struct {
		name    string
		sorted  []time.Duration
		percent int
		want    time.Duration
	}{
		{"of nothing", nil, 50, 0},
		{"of one", []time.Duration{7}, 99, 7},
		{"lower middle of two", []time.Duration{1, 2}, 50, 1},
		{"middle of three", []time.Duration{1, 2, 3}, 50, 2},
		{"99 of 100", hundred, 99, 99},
		{"all", hundred, 100, 100},
		{"99 of fewer is the largest", []time.Duration{1, 2, 3}, 99, 3},
	} {
		if got := percentile(tt.sorted, tt.percent); got != tt.want {
			t.Errorf("percentile %s = %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestOnlyWhatIsFinalInTheTimeCounts(t *testing.T) {
	zero := time.Unix(1000, 0)
	at := func(ms int) time.Time { return zero.Add(time.Duration(ms) * time.Millisecond) }
	landed := []flight{
		{due: at(0), final: at(99)}, // in the warm-up
		{due: at(90), final: at(100)},
		{due: at(100), final: at(130)},
		{due: at(480), final: at(500)},
		{due: at(500), final: at(600)}, // after the end
	}
	want := Summary{Final: 3, PerSecond: 6, P50: 20 * time.Millisecond, P99: 30 * time.Millisecond, Max: 30 * time.Millisecond}
	if diff := cmp.Diff(want, summarize(landed, at(100), at(600))); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
	if got, want := longestGap(landed, at(100), at(600)), 370*time.Millisecond; got != want {
		t.Errorf("longest gap %v, want %v", got, want)
	}
	if got, want := longestGap(landed, at(100), at(1600)), 1000*time.Millisecond; got != want {
		t.Errorf("longest gap before the end %v, want %v", got, want)
	}
}

func TestATowerHearsFinalityOnceAndCountsWhatItMissed(t *testing.T) {
	tower := newTower()
	f := tower.take("tx", time.Now())
	event := func(kind, subject string) {
		t.Helper()
		raw, err := json.Marshal(map[string]string{"kind": kind, "subject": subject})
		if err == nil {
			err = tower.heard(raw, time.Now(), true)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	event("block", "b")
	event("transfer", "somebody else's")
	event("transfer", "tx")
	event("transfer", "tx")
	tower.take("late", time.Now())
	tower.missed(0, 90) // the first that is heard
	tower.missed(90, 91)
	tower.missed(91, 95)
	select {
	case <-f.done:
	default:
		t.Error("a final transfer is still under way")
	}
	seen := tower.drain()
	if len(seen.landed) != 1 || seen.unfinished != 1 || len(seen.blocks) != 1 || seen.lost != 3 {
		t.Errorf("%d final, %d unfinished, %d blocks, %d lost; want 1, 1, 1, 3", len(seen.landed), seen.unfinished, len(seen.blocks), seen.lost)
	}
	if rest := tower.drain(); len(rest.landed) != 0 || rest.unfinished != 0 {
		t.Errorf("a second look finds %+v, want nothing", rest)
	}
}

func TestCPUTimeIsReadPastAnyName(t *testing.T) {
	stat := "7 (a) b (c)) S 1 7 7 0 -1 4194560 10 0 0 0 250 50 0 0 20 0 8 0 100 0 0"
	if got, err := cpuOf([]byte(stat)); err != nil || got != 3*time.Second {
		t.Errorf("CPU time %v, %v; want 3s", got, err)
	}
	for _, bad := range []string{"", "7 (x", "7 (x) S 1"} {
		if got, err := cpuOf([]byte(bad)); err == nil {
			t.Errorf("CPU time of %q is %v, want an error", bad, got)
		}
	}
}

func TestOwnUsageIsReadable(t *testing.T) {
	u, err := usageOf(os.Getpid())
	if err != nil || u.rss == 0 || u.calls == 0 {
		t.Errorf("usage %+v, %v; want memory and calls", u, err)
	}
}

func TestKeysFollowFromTheSeed(t *testing.T) {
	ids := func(seed uint64) (list []string) {
		for _, a := range newAccounts(seed, 3) {
			list = append(list, a.id.String())
		}
		return list
	}
	one, two := ids(1), ids(2)
	if !slices.Equal(one, ids(1)) {
		t.Error("the same seed gives other accounts")
	}
	if one[0] == one[1] || slices.Contains(two, one[0]) {
		t.Errorf("accounts %v and %v, want all to differ", one, two)
	}
}
