package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sync/errgroup"
)

// Result is what was measured of one federation. A phase that was not asked for
// is absent.
type Result struct {
	Validators int     `json:"validators"`
	Formed     span    `json:"formed_ns"` // from the first process to all having met all
	Lone       *Lone   `json:"lone,omitempty"`
	Idle       *Idle   `json:"idle,omitempty"`
	Load       *Loaded `json:"load,omitempty"`
	Task       *Task   `json:"task,omitempty"`

	// With --kill: Load is of a federation that loses a validator by SIGKILL, and
	// CutOff the same load on another, of which one goes silent.
	CutOff *Loaded `json:"cut_off,omitempty"`
}

// aftermath is how long a federation may take to notice that a validator is lost.
const aftermath = time.Second

// Lone is one transfer at a time.
type Lone struct {
	Summary
	CPU float64 `json:"cpu_us_per_transfer_and_process"`
	PerBlock
}

// PerBlock is what a height has cost, per process.
type PerBlock struct {
	StoreSyncs  float64 `json:"store_syncs_per_block"`
	SignerSyncs float64 `json:"signer_syncs_per_block"`
	Frames      float64 `json:"frames_sent_per_block"` // of consensus
	FrameBytes  float64 `json:"frame_bytes_sent_per_block"`
	Gossip      float64 `json:"gossip_published_per_block"`
}

// Idle is a federation that nobody uses, per process.
type Idle struct {
	Span       span    `json:"span_ns"`
	CPU        float64 `json:"cpu_cores"` // mean
	BusiestMS  float64 `json:"busiest_cpu_ms"`
	Calls      float64 `json:"calls_per_second"` // read and write
	Wrote      float64 `json:"wrote_bytes_per_second"`
	Blocks     int     `json:"blocks"`
	Frames     uint64  `json:"frames"` // consensus frames sent by all processes
	FrameBytes uint64  `json:"frame_bytes"`
	Gossip     uint64  `json:"gossip"` // messages published by all
	Syncs      uint64  `json:"syncs"`  // of stores and signers, of all
}

// Loaded is a federation under load. Figures per process are means.
type Loaded struct {
	Summary
	Before     *Summary `json:"before_loss,omitempty"` // of a validator
	After      *Summary `json:"after_loss,omitempty"`  // from a second later on
	Gap        span     `json:"longest_gap_ns"`        // in which nothing became final
	Blocks     float64  `json:"blocks_per_second"`
	InBlock    float64  `json:"transfers_per_block"`
	Cost       PerBlock `json:"per_block"`
	CPU        float64  `json:"cpu_us_per_transfer_and_process"`
	Bench      float64  `json:"cpu_us_per_transfer_of_bench"`
	RSS        uint64   `json:"rss_bytes"` // at the end
	LargestRSS uint64   `json:"largest_rss_bytes"`
	Wrote      float64  `json:"wrote_bytes_per_transfer_and_process"` // by write calls: see README
	Read       float64  `json:"read_bytes_per_transfer_and_process"`
	Refusals   int64    `json:"refusals"` // "full", each tried again
	Unfinished int      `json:"unfinished"`
	Lost       uint64   `json:"lost_events"`
	Starved    bool     `json:"starved"` // fewer transfers were signed than could be sent
}

// measure runs every phase that is asked for with n validators.
func measure(ctx context.Context, o Options, n int, progress io.Writer) (r Result, err error) {
	if !o.Kill {
		return measureOne(ctx, o, n, nil, progress)
	}
	if r, err = measureOne(ctx, o, n, (*validator).kill, progress); err != nil || o.Load == 0 {
		return r, err
	}
	o.Lone, o.Idle, o.Task = 0, 0, false
	cut, err := measureOne(ctx, o, n, (*validator).cutOff, progress)
	r.CutOff = cut.Load
	return r, err
}

// measureOne runs the phases on one new federation, which loses a validator in the
// middle of the load, if there is a way.
func measureOne(ctx context.Context, o Options, n int, lose func(*validator), progress io.Writer) (r Result, err error) {
	say := func(format string, args ...any) {
		fmt.Fprintf(progress, "%d validators: "+format+"\n", append([]any{n}, args...)...)
	}
	if o.CPUProfile != "" {
		if err := os.MkdirAll(o.CPUProfile, 0o700); err != nil {
			return r, err
		}
	}
	accounts := newAccounts(o.Seed, 1+o.accounts())
	began := time.Now()
	f, err := found(ctx, o, n, accounts)
	if f != nil {
		defer func() { err = errors.Join(err, f.end()) }()
	}
	if err != nil {
		return r, err
	}
	r = Result{Validators: n, Formed: time.Since(began)}
	say("all have met all after %v; signing", r.Formed.Round(time.Millisecond))
	b := &bench{Options: o, federation: f, alone: accounts[:1], accounts: accounts[1:], tower: newTower(), lose: lose}
	if err := errors.Join(signTransfers(f.genesis, b.alone, o.loneShare()), signTransfers(f.genesis, b.accounts, o.share())); err != nil {
		return r, err
	}
	for _, v := range f.all[:min(o.Entries, n)] {
		e := newEntrance(v)
		defer e.http.CloseIdleConnections()
		b.entrances = append(b.entrances, e)
	}
	watching, stop := context.WithCancel(ctx)
	g, watching := errgroup.WithContext(watching)
	for i, e := range b.entrances {
		g.Go(func() error { return b.tower.watch(watching, e.validator, i == 0) })
	}
	err = b.phases(watching, &r, say)
	stop()
	return r, errors.Join(g.Wait(), err)
}

// bench is one federation with what is needed to load it.
type bench struct {
	Options
	*federation
	alone     []*account // sends one transfer at a time
	accounts  []*account // make the load
	entrances []*entrance
	tower     *tower
	lose      func(*validator) // nil: all stay
}

func (b *bench) phases(ctx context.Context, r *Result, say func(string, ...any)) (err error) {
	if b.Lone > 0 {
		say("one transfer at a time for %v", b.Lone)
		if r.Lone, err = b.lone(ctx); err != nil {
			return err
		}
	}
	if b.Idle > 0 {
		say("nothing for %v", b.Idle)
		if r.Idle, err = b.idle(ctx); err != nil {
			return err
		}
	}
	if b.Load > 0 {
		say("load for %v", b.Load)
		if r.Load, err = b.loaded(ctx); err != nil {
			return err
		}
	}
	if b.Options.Task {
		say("a task")
		if r.Task, err = b.task(ctx); err != nil {
			return err
		}
	}
	return nil
}

// lone sends one transfer at a time.
func (b *bench) lone(ctx context.Context) (*Lone, error) {
	before, err := usages(b.all)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	l := &load{tower: b.tower, entrances: b.entrances, accounts: b.alone}
	if err := l.run(ctx, b.Lone); err != nil {
		return nil, err
	}
	seen := b.tower.drain()
	r := &Lone{Summary: summarize(seen.landed, began, time.Now())}
	after, err := usages(b.all)
	r.PerBlock = perBlock(before, after, len(seen.blocks))
	for v, u := range after {
		r.CPU += perTransfer(float64((u.cpu-before[v].cpu).Microseconds()), l.sent.Load()) / float64(len(after))
	}
	return r, err
}

// idle looks on while nothing is sent.
func (b *bench) idle(ctx context.Context) (*Idle, error) {
	if err := pause(ctx, time.Second); err != nil { // for what the phase before left
		return nil, err
	}
	b.tower.drain()
	began := time.Now()
	before, err := usages(b.all)
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, b.Idle); err != nil {
		return nil, err
	}
	after, err := usages(b.all)
	if err != nil {
		return nil, err
	}
	seconds := time.Since(began).Seconds()
	per := 1 / seconds / float64(len(b.all))
	r := &Idle{Span: time.Since(began), Blocks: len(b.tower.drain().blocks)}
	for v, u := range after {
		used := u.cpu - before[v].cpu
		r.CPU += used.Seconds() * per
		r.BusiestMS = max(r.BusiestMS, used.Seconds()*1000)
		r.Calls += float64(u.calls-before[v].calls) * per
		r.Wrote += float64(u.wrote-before[v].wrote) * per
		now, then := u.node, before[v].node
		r.Frames += now.Network.FramesOut - then.Network.FramesOut
		r.FrameBytes += now.Network.FrameBytesOut - then.Network.FrameBytesOut
		r.Gossip += now.Network.GossipOut - then.Network.GossipOut
		r.Syncs += now.StoreSyncs + now.SignerSyncs - then.StoreSyncs - then.SignerSyncs
	}
	return r, nil
}

// perBlock divides what those that are there after and before have counted.
func perBlock(before, after map[*validator]usage, blocks int) (p PerBlock) {
	per := 1 / float64(max(1, blocks)*max(1, len(after)))
	for v, u := range after {
		now, then := u.node, before[v].node
		p.StoreSyncs += float64(now.StoreSyncs-then.StoreSyncs) * per
		p.SignerSyncs += float64(now.SignerSyncs-then.SignerSyncs) * per
		p.Frames += float64(now.Network.FramesOut-then.Network.FramesOut) * per
		p.FrameBytes += float64(now.Network.FrameBytesOut-then.Network.FrameBytesOut) * per
		p.Gossip += float64(now.Network.GossipOut-then.Network.GossipOut) * per
	}
	return p
}

// loaded sends as much as was asked for.
func (b *bench) loaded(ctx context.Context) (*Loaded, error) {
	entrances, victim := b.entrances, (*validator)(nil)
	if b.lose != nil { // one that no client talks to
		victim = b.all[len(b.all)-1]
		entrances = entrances[:min(len(entrances), len(b.all)-1)]
	}
	l := &load{tower: b.tower, entrances: entrances, accounts: b.accounts, rate: b.Rate}
	before, err := usages(b.all)
	if err != nil {
		return nil, err
	}
	own, err := usageOf(os.Getpid())
	if err != nil {
		return nil, err
	}
	began := time.Now()
	middle := began.Add((b.Warmup + b.Load) / 2)
	g, running := errgroup.WithContext(ctx)
	g.Go(func() error { return l.run(running, b.Load) })
	if victim != nil {
		g.Go(func() error {
			if err := pause(running, time.Until(middle)); err != nil {
				return err
			}
			middle = time.Now()
			b.lose(victim)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	all := b.tower.drain()
	r := b.seen(all, began, middle)
	r.Refusals, r.Starved = l.refusals.Load(), l.starved.Load()
	ownAfter, err := usageOf(os.Getpid())
	if err != nil {
		return nil, err
	}
	r.Bench = perTransfer(float64((ownAfter.cpu - own.cpu).Microseconds()), l.sent.Load())
	return r, b.spent(r, before, l.sent.Load(), len(all.blocks))
}

// seen makes figures of what became final.
func (b *bench) seen(all log, began, middle time.Time) *Loaded {
	from, to := began.Add(b.Warmup), began.Add(b.Load)
	r := &Loaded{
		Summary: summarize(all.landed, from, to), Gap: longestGap(all.landed, from, to),
		Unfinished: all.unfinished, Lost: all.lost,
	}
	if b.lose != nil {
		first, second := summarize(all.landed, from, middle), summarize(all.landed, middle.Add(aftermath), to)
		r.Before, r.After = &first, &second
	}
	if blocks := between(all.blocks, from, to); blocks > 0 {
		r.Blocks = float64(blocks) / to.Sub(from).Seconds()
		r.InBlock = float64(r.Final) / float64(blocks)
	}
	return r
}

// spent adds what the processes that lived through the load have used.
func (b *bench) spent(r *Loaded, before map[*validator]usage, sent int64, blocks int) error {
	alive := b.alive()
	after, err := usages(alive)
	if err != nil {
		return err
	}
	r.Cost = perBlock(before, after, blocks)
	for v, u := range after {
		r.CPU += perTransfer(float64((u.cpu-before[v].cpu).Microseconds()), sent) / float64(len(alive))
		r.Wrote += perTransfer(float64(u.wrote-before[v].wrote), sent) / float64(len(alive))
		r.Read += perTransfer(float64(u.read-before[v].read), sent) / float64(len(alive))
		r.RSS += u.rss / uint64(len(alive))
		r.LargestRSS = max(r.LargestRSS, u.rss)
	}
	return nil
}

func perTransfer(amount float64, transfers int64) float64 { return amount / float64(max(1, transfers)) }
