package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/chain/store"
	"github.com/sage-p2p/sage-p2p/node"
	"github.com/sage-p2p/sage-p2p/node/signer"
)

// network is the name of every federation that is measured.
const network = "bench"

// formation bounds how long a federation may take until all have met all.
const formation = 90 * time.Second

// glance is the pause between two looks at what has no event.
const glance = 25 * time.Millisecond

// federation is the validators that are measured.
type federation struct {
	dir     string
	genesis bft.GenesisHash
	all     []*validator
}

// found makes n homes and a genesis with balances for the accounts, signed by
// all n, and starts the processes. The caller ends it, also after an error.
func found(ctx context.Context, o Options, n int, accounts []*account) (*federation, error) {
	dir, err := os.MkdirTemp("", "sage-bench-")
	if err != nil {
		return nil, err
	}
	f := &federation{dir: dir}
	file, err := f.makeGenesis(n, accounts)
	if err != nil {
		return f, err
	}
	profile, err := store.ParseProfile(o.Profile)
	if err != nil {
		return f, err
	}
	ctx, cancel := context.WithTimeout(ctx, formation)
	defer cancel()
	cfg := node.Config{
		Network: network, Profile: profile, Listen: listenOn(o.Transport), APIAddr: "127.0.0.1:0", GenesisFile: file, NoWork: !o.Task, NoMDNS: true,
	}
	logs := o.Logs
	if logs == "" {
		logs = dir
	}
	g, starting := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for i, v := range f.all {
		if i == 1 { // all others begin with the first
			cfg.Bootstrap = f.all[0].presence.Listen
		}
		their := orders{Node: cfg}
		their.Node.Name, their.Node.Home = v.name, v.home
		if i == 0 {
			if o.CPUProfile != "" {
				their.CPUProfile = filepath.Join(o.CPUProfile, fmt.Sprintf("validators-%d.pprof", n))
			}
			if err := v.start(ctx, their, logs); err != nil {
				return f, err
			}
			continue
		}
		g.Go(func() error { return v.start(starting, their, logs) })
	}
	if err := g.Wait(); err != nil {
		return f, err
	}
	return f, f.meet(ctx)
}

// makeGenesis writes a genesis that n new keys have signed.
func (f *federation) makeGenesis(n int, accounts []*account) (file string, err error) {
	var founders []chain.Founder
	signers := make(map[atp.ID]*signer.Signer)
	defer func() {
		for _, s := range signers {
			err = errors.Join(err, s.Close())
		}
	}()
	for i := range n {
		v := &validator{name: fmt.Sprintf("validator-%d", i+1)}
		v.home = filepath.Join(f.dir, v.name)
		f.all = append(f.all, v)
		s, err := signer.OpenOrCreate(v.home)
		if err != nil {
			return "", err
		}
		id := atp.ID(s.ID())
		signers[id] = s
		founders = append(founders, chain.Founder{ID: id, Name: v.name})
	}
	g := chain.NewGenesis(network, atp.Millis(time.Now().UnixMilli()), chain.DefaultParams(chain.AdmitAuto), founders...)
	for _, a := range accounts {
		g.Allocations = append(g.Allocations, chain.Allocation{To: a.id, Amount: atp.ATP})
	}
	slices.SortFunc(g.Allocations, func(a, b chain.Allocation) int { return atp.Compare(a.To, b.To) })
	message, err := g.SigningBytes()
	if err != nil {
		return "", err
	}
	for id, s := range signers {
		signature, err := s.SignBytes(message)
		if err != nil {
			return "", err
		}
		if g, err = g.WithSignature(id, signature); err != nil {
			return "", err
		}
	}
	if f.genesis, err = g.Hash(); err != nil {
		return "", err
	}
	raw, err := g.JSON()
	if err != nil {
		return "", err
	}
	file = filepath.Join(f.dir, "genesis.json")
	return file, os.WriteFile(file, raw, 0o600)
}

// meet waits until every validator is connected to every other.
func (f *federation) meet(ctx context.Context) error {
	for _, v := range f.all {
		for {
			st, err := v.api.Status(ctx)
			if err == nil && st.Ready() && st.Validators == len(f.all) && st.Peers >= len(f.all)-1 {
				break
			}
			if err := pause(ctx, glance); err != nil {
				return fmt.Errorf("%s has met %d of %d peers, and waits for %q: %w", v.name, st.Peers, len(f.all)-1, st.Waiting, err)
			}
		}
	}
	return nil
}

// alive returns the validators that were not lost.
func (f *federation) alive() (list []*validator) {
	for _, v := range f.all {
		if !v.lost.Load() {
			list = append(list, v)
		}
	}
	return list
}

// end ends all processes and removes what they wrote.
func (f *federation) end() error {
	var g errgroup.Group
	for _, v := range f.all {
		g.Go(v.stop)
	}
	return errors.Join(g.Wait(), os.RemoveAll(f.dir))
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
