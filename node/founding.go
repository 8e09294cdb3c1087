package node

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
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
	// foundingFile holds what this platform has told other founders while there
	// is no genesis: the time of its wish, so that a restart changes no draft,
	// and the one genesis that it has signed. It is what keeps a platform from
	// signing two, with which two federations could begin that share a key.
	foundingFile = "founding.json"
)

// beginAgain is the way out of a founding that cannot succeed.
const beginAgain = "to begin again, stop all founders and remove " + foundingFile + " from their homes"

// nobodyElse is the way out when a stranger wants to found too: anybody may say so.
const nobodyElse = "if it is none of yours, start each founder with --bootstrap for every other one: then nobody else counts"

// founding makes one genesis with all the platforms that want to found it. All
// compute the same draft from the same announcements, so that there is no
// leader whose absence could spoil it. A platform signs
//
//	F1  one draft, unless it leaves the federation of that (aside.go): the promise
//	    is on the disk before the signature is told;
//	F2  only a draft that all its founders say they would sign, so that one who
//	    hears of a platform too many, or too few, spoils nothing for good.
type founding struct {
	home    string
	network string
	self    atp.ID
	params  chain.Params
	say     wire.Announcement
	draft   chain.Genesis       // once we have signed it, with the signatures heard so far
	where   func(atp.ID) string // a founder's address, for people
	sign    func(message []byte) (bft.Signature, error)
}

// foundingRecord is the content of foundingFile.
type foundingRecord struct {
	Time  atp.Millis     `json:"time_ms"`
	Draft *chain.Genesis `json:"draft,omitempty"` // that this platform has signed
}

// newFounding begins, or goes on with what a restart interrupted.
func newFounding(cfg Config, self atp.ID, params chain.Params, now atp.Millis, sign func([]byte) (bft.Signature, error)) (*founding, error) {
	hash, err := paramsHash(params)
	if err != nil {
		return nil, err
	}
	f := &founding{
		home: cfg.Home, network: cfg.Network, self: self, params: params, sign: sign, where: func(atp.ID) string { return "" },
		say: wire.Announcement{Name: cfg.Name, Time: now, Expect: uint64(cfg.Expect), Params: hash},
	}
	raw, err := os.ReadFile(filepath.Join(cfg.Home, foundingFile))
	if errors.Is(err, fs.ErrNotExist) {
		return f, f.write(foundingRecord{Time: now})
	} else if err != nil {
		return nil, fmt.Errorf("node: founding: %w", err)
	}
	var r foundingRecord
	if err := json.Unmarshal(raw, &r); err != nil || r.Time == 0 {
		return nil, fmt.Errorf("node: founding: %s is damaged (%v): %s", foundingFile, cmp.Or(err, errors.New("it has no time")), beginAgain)
	}
	f.say.Time = r.Time
	if r.Draft == nil {
		return f, nil
	}
	return f, f.resume(*r.Draft)
}

func paramsHash(p chain.Params) ([sha256.Size]byte, error) {
	raw, err := atp.Encode(&p)
	if err != nil {
		return [sha256.Size]byte{}, fmt.Errorf("node: parameters: %w", err)
	}
	return sha256.Sum256(raw), nil
}

func (f *founding) write(r foundingRecord) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("node: founding: %w", err)
	}
	return writeDurably(f.home, foundingFile, append(raw, '\n'))
}

// resume stands by a draft that this platform has signed, if what it was
// started with now agrees.
func (f *founding) resume(g chain.Genesis) error {
	hash, err := paramsHash(g.Params)
	if err == nil {
		err = g.Check()
	}
	if err != nil {
		return fmt.Errorf("node: founding: %s is damaged (%w): %s", foundingFile, err, beginAgain)
	}
	disagree := func(what string) error {
		return fmt.Errorf("node: founding: this platform has signed a genesis with %s: start it with the same again; or, %s", what, beginAgain)
	}
	switch {
	case g.Network != f.network:
		return disagree(fmt.Sprintf("--network %s", g.Network))
	case uint64(len(g.Founders)) != f.say.Expect:
		return disagree(fmt.Sprintf("--expect %d", len(g.Founders)))
	case hash != f.say.Params:
		return disagree("other parameters (--params)")
	}
	return f.keep(g)
}

// keep makes g the draft that this platform stands by.
func (f *founding) keep(g chain.Genesis) error {
	hash, err := g.Hash()
	if err != nil {
		return fmt.Errorf("node: founding: %w", err)
	}
	i := slices.IndexFunc(g.Founders, func(x chain.Founder) bool { return x.ID == f.self })
	if i < 0 || g.Founders[i].Signature == (chain.FounderSignature{}) {
		return fmt.Errorf("node: founding: %s is of another platform: %s", foundingFile, beginAgain)
	}
	f.draft, f.say.Draft, f.say.Name = g, hash, g.Founders[i].Name
	f.say.Signature = bft.Signature(g.Founders[i].Signature)
	return nil
}

// signed reports whether this platform has given its one signature.
func (f *founding) signed() bool { return f.say.Signature != (bft.Signature{}) }

// hear takes the newest announcements of the connected peers. It returns the
// genesis once it is complete; until then, what is being waited for.
func (f *founding) hear(heard map[atp.ID]wire.Announcement) (g chain.Genesis, waiting string, err error) {
	for _, a := range heard {
		if g, ok := f.complete(a); ok {
			return g, "", nil
		}
	}
	if !f.signed() {
		waiting, err := f.agree(heard)
		if waiting != "" || err != nil {
			return chain.Genesis{}, waiting, err
		}
	}
	f.collect(heard)
	if missing := f.draft.Missing(); len(missing) > 0 {
		return chain.Genesis{}, f.signatures(missing, heard), nil
	}
	return f.draft, "", f.draft.Validate()
}

// complete returns the genesis that another founder has completed, if it is
// the one that we have signed.
func (f *founding) complete(a wire.Announcement) (chain.Genesis, bool) {
	if len(a.Genesis) == 0 || !f.signed() {
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

// agree signs the draft that follows from what is heard once all its founders
// would; until then it says what is missing. It keeps F2.
func (f *founding) agree(heard map[atp.ID]wire.Announcement) (waiting string, err error) {
	f.say.Draft = [32]byte{}
	if waiting := f.missing(heard); waiting != "" {
		return waiting, nil
	}
	draft := f.compute(heard)
	if draft.Time > chain.MaxGenesisTime {
		return f.clocks(heard), nil
	}
	if err := draft.Check(); err != nil {
		return "", fmt.Errorf("node: founding: %w", err)
	}
	if f.say.Draft, err = draft.Hash(); err != nil {
		return "", fmt.Errorf("node: founding: %w", err)
	}
	for _, id := range sortedIDs(heard) {
		a := heard[id]
		if a.Draft != f.say.Draft && a.Signature != (bft.Signature{}) {
			return fmt.Sprintf("%s, which has signed another genesis: %s", a.Name, beginAgain), nil
		} else if a.Draft != f.say.Draft {
			return a.Name + " to hear of all founders", nil
		}
	}
	return "", f.promise(draft)
}

// missing says who or what is missing before a draft can be computed.
func (f *founding) missing(heard map[atp.ID]wire.Announcement) string {
	named, culprits := map[string]bool{f.say.Name: true}, []string(nil)
	for _, id := range sortedIDs(heard) {
		a := heard[id]
		switch {
		case a.Expect != f.say.Expect:
			return fmt.Sprintf("%s, which expects %d platforms, and this one %d: start all with the same --expect; %s", f.who(id, a), a.Expect, f.say.Expect, nobodyElse)
		case a.Params != f.say.Params:
			return fmt.Sprintf("%s, which wants other genesis parameters: start all with the same --params file; %s", f.who(id, a), nobodyElse)
		case named[a.Name]:
			return fmt.Sprintf("another name of one of two founders of one name, such as %s: start it with another --name; %s", f.who(id, a), nobodyElse)
		}
		named[a.Name] = true
		culprits = append(culprits, f.who(id, a))
	}
	switch have := uint64(len(heard) + 1); {
	case have < f.say.Expect:
		return fmt.Sprintf("%d of %d founders", f.say.Expect-have, f.say.Expect)
	case have > f.say.Expect:
		return fmt.Sprintf("fewer founders: %d are here and %d were expected: stop those that are too many of %s; %s",
			have, f.say.Expect, strings.Join(culprits, ", "), nobodyElse)
	}
	return ""
}

// clocks says whose clocks are so far ahead that no chain can begin.
func (f *founding) clocks(heard map[atp.ID]wire.Announcement) string {
	var ahead []string
	if f.say.Time > chain.MaxGenesisTime {
		ahead = append(ahead, "this platform")
	}
	for _, id := range sortedIDs(heard) {
		if a := heard[id]; a.Time > chain.MaxGenesisTime {
			ahead = append(ahead, f.who(id, a))
		}
	}
	return fmt.Sprintf("a clock that is right, on most of the founders: past the year 3000 is that of %s: set it; %s; %s",
		strings.Join(ahead, ", "), beginAgain, nobodyElse)
}

// who names a founder so that it can be found.
func (f *founding) who(id atp.ID, a wire.Announcement) string {
	if where := f.where(id); where != "" {
		return fmt.Sprintf("%s (%s, at %s)", a.Name, id, where)
	}
	return fmt.Sprintf("%s (%s)", a.Name, id)
}

// compute returns the genesis that all founders compute. Its time is the lower
// median of theirs: a clock that is years ahead moves nothing unless it is half
// of them, and one that is behind costs nothing, as blocks carry their own time.
func (f *founding) compute(heard map[atp.ID]wire.Announcement) chain.Genesis {
	times := []atp.Millis{f.say.Time}
	founders := []chain.Founder{{ID: f.self, Name: f.say.Name}}
	for id, a := range heard {
		times = append(times, a.Time)
		founders = append(founders, chain.Founder{ID: id, Name: a.Name})
	}
	slices.Sort(times)
	return chain.NewGenesis(f.network, times[(len(times)-1)/2], f.params, founders...)
}

// promise signs a draft once that is on the disk. It keeps F1.
func (f *founding) promise(draft chain.Genesis) error {
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
	if err := f.write(foundingRecord{f.say.Time, &draft}); err != nil {
		return err
	}
	return f.keep(draft)
}

// collect takes over the signatures of others under the same draft. One that
// does not hold is left out: its founder is asked again.
func (f *founding) collect(heard map[atp.ID]wire.Announcement) {
	for id, a := range heard {
		if a.Draft != f.say.Draft || a.Signature == (bft.Signature{}) {
			continue
		}
		if g, err := f.draft.WithSignature(id, a.Signature); err == nil {
			f.draft = g
		}
	}
}

// signatures says whose signatures are missing, and why they might never come.
func (f *founding) signatures(missing []atp.ID, heard map[atp.ID]wire.Announcement) string {
	var names []string
	for _, x := range f.draft.Founders {
		if !slices.Contains(missing, x.ID) {
			continue
		}
		if a := heard[x.ID]; a.Signature != (bft.Signature{}) && a.Draft != f.say.Draft {
			return fmt.Sprintf("%s, which has signed another genesis: %s", x.Name, beginAgain)
		}
		names = append(names, x.Name)
	}
	return "the signatures of " + strings.Join(names, ", ") + " under the genesis"
}

func sortedIDs[V any](m map[atp.ID]V) []atp.ID { return slices.SortedFunc(maps.Keys(m), atp.Compare) }
