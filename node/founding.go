package node

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/wire"
)

// Files of a home that the making of a federation writes.
const (
	genesisFile = "genesis.json"
	// foundingFile holds the one genesis that this platform has signed while
	// it is not complete. It is what keeps a platform from signing two, with
	// which two federations could begin that share a key.
	foundingFile = "founding.json"
)

// founding makes one genesis with all the platforms that want to found it. All
// compute the same draft from the same announcements, so that there is no
// leader whose absence could spoil it; each signs one draft, ever.
type founding struct {
	home    string
	network string
	self    atp.ID
	params  chain.Params
	say     wire.Announcement
	draft   chain.Genesis // signed by us, and by those heard so far; zero before
	sign    func(message []byte) (bft.Signature, error)
}

// foundingRecord is the content of foundingFile.
type foundingRecord struct {
	Time  atp.Millis    `json:"time_ms"`
	Draft chain.Genesis `json:"draft"`
}

// newFounding begins, or goes on with what a restart interrupted.
func newFounding(cfg Config, self atp.ID, params chain.Params, now atp.Millis, sign func([]byte) (bft.Signature, error)) (*founding, error) {
	hash, err := paramsHash(params)
	if err != nil {
		return nil, err
	}
	f := &founding{
		home: cfg.Home, network: cfg.Network, self: self, params: params, sign: sign,
		say: wire.Announcement{Name: cfg.Name, Time: now, Expect: uint64(cfg.Expect), Params: hash},
	}
	raw, err := os.ReadFile(filepath.Join(cfg.Home, foundingFile))
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	} else if err != nil {
		return nil, fmt.Errorf("node: founding: %w", err)
	}
	var r foundingRecord
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, fmt.Errorf("node: founding: %s: %w: remove it on all founders to begin again", foundingFile, err)
	}
	f.say.Time = r.Time
	return f, f.keep(r.Draft)
}

func paramsHash(p chain.Params) ([sha256.Size]byte, error) {
	raw, err := atp.Encode(&p)
	if err != nil {
		return [sha256.Size]byte{}, fmt.Errorf("node: parameters: %w", err)
	}
	return sha256.Sum256(raw), nil
}

// keep makes g the draft that this platform stands by.
func (f *founding) keep(g chain.Genesis) error {
	hash, err := g.Hash()
	if err != nil {
		return fmt.Errorf("node: founding: %w", err)
	}
	i := slices.IndexFunc(g.Founders, func(x chain.Founder) bool { return x.ID == f.self })
	if i < 0 {
		return fmt.Errorf("node: founding: the draft does not name this platform: remove %s on all founders to begin again", foundingFile)
	}
	f.draft, f.say.Draft = g, hash
	f.say.Signature = bft.Signature(g.Founders[i].Signature)
	return nil
}

// hear takes the newest announcements of the connected peers. It returns the
// genesis once it is complete; until then, what is being waited for.
func (f *founding) hear(heard map[atp.ID]wire.Announcement) (g chain.Genesis, waiting string, err error) {
	for _, a := range heard {
		if g, ok := f.complete(a); ok {
			return g, "", nil
		}
	}
	if f.say.Draft == ([32]byte{}) {
		if waiting := f.missing(heard); waiting != "" {
			return chain.Genesis{}, waiting, nil
		}
		if err := f.signDraft(heard); err != nil {
			return chain.Genesis{}, "", err
		}
	}
	f.collect(heard)
	if missing := f.draft.Missing(); len(missing) > 0 {
		return chain.Genesis{}, "the signatures of " + f.names(missing) + " under the genesis", nil
	}
	return f.draft, "", f.draft.Validate()
}

// complete returns the genesis that another founder has completed, if we are
// one of its founders and have signed no other.
func (f *founding) complete(a wire.Announcement) (chain.Genesis, bool) {
	if len(a.Genesis) == 0 {
		return chain.Genesis{}, false
	}
	g, err := chain.ParseGenesis(a.Genesis)
	if err != nil {
		return chain.Genesis{}, false
	}
	hash, err := g.Hash()
	return g, err == nil && hash == f.say.Draft
}

// shown returns a copy that others may be told from while f goes on.
func (f *founding) shown() *founding {
	copied := *f
	return &copied
}

// missing says who or what is missing before a draft can be computed.
func (f *founding) missing(heard map[atp.ID]wire.Announcement) string {
	for _, a := range heard {
		switch {
		case a.Expect != f.say.Expect:
			return fmt.Sprintf("%s expects %d platforms, this one %d: start all with the same --expect", a.Name, a.Expect, f.say.Expect)
		case a.Params != f.say.Params:
			return fmt.Sprintf("%s wants other genesis parameters: start all with the same --params file", a.Name)
		}
	}
	switch have := uint64(len(heard) + 1); {
	case have < f.say.Expect:
		return fmt.Sprintf("%d of %d founders", f.say.Expect-have, f.say.Expect)
	case have > f.say.Expect:
		return fmt.Sprintf("fewer founders: %d are here and %d were expected; stop those that are too many", have, f.say.Expect)
	}
	return ""
}

// signDraft computes the genesis that all founders compute, and signs it once
// that promise is on the disk.
func (f *founding) signDraft(heard map[atp.ID]wire.Announcement) error {
	at := f.say.Time
	founders := []chain.Founder{{ID: f.self, Name: f.say.Name}}
	for id, a := range heard {
		at = max(at, a.Time)
		founders = append(founders, chain.Founder{ID: id, Name: a.Name})
	}
	draft := chain.NewGenesis(f.network, at, f.params, founders...)
	if err := draft.Check(); err != nil {
		return fmt.Errorf("node: founding: %w", err)
	}
	message, err := draft.SigningBytes()
	if err != nil {
		return fmt.Errorf("node: founding: %w", err)
	}
	signature, err := f.sign(message)
	if err != nil {
		return err
	}
	if draft, err = draft.WithSignature(f.self, signature); err != nil {
		return fmt.Errorf("node: founding: %w", err)
	}
	raw, err := json.MarshalIndent(foundingRecord{f.say.Time, draft}, "", "  ")
	if err != nil {
		return fmt.Errorf("node: founding: %w", err)
	}
	if err := writeDurably(f.home, foundingFile, append(raw, '\n')); err != nil {
		return err
	}
	return f.keep(draft)
}

// collect takes over the signatures of others under the same draft. One that
// does not hold is left out: its founder is asked again.
func (f *founding) collect(heard map[atp.ID]wire.Announcement) {
	for id, a := range heard {
		if a.Draft != f.say.Draft {
			continue
		}
		if g, err := f.draft.WithSignature(id, a.Signature); err == nil {
			f.draft = g
		}
	}
}

func (f *founding) names(ids []atp.ID) string {
	var names []string
	for _, x := range f.draft.Founders {
		if slices.Contains(ids, x.ID) {
			names = append(names, x.Name)
		}
	}
	return strings.Join(names, ", ")
}

// writeDurably replaces HOME/name by data: whole and on the disk, or not at all.
func writeDurably(home, name string, data []byte) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("node: writing %s: %w", name, err)
		}
	}()
	f, err := os.CreateTemp(home, name+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // after the rename there is none of that name
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), filepath.Join(home, name)); err != nil {
		return err
	}
	return syncDir(home)
}
