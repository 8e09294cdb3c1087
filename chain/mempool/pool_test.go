package mempool

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519"
	"pgregory.net/rapid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
)

const epoch atp.Millis = 1_700_000_000_000

// fixture is a chain whose accounts are its founders, 1,000 ATP each.
type fixture struct {
	keys  []ed25519.PrivateKey
	ids   []atp.ID
	state chain.State
}

func newFixture(t testing.TB, n int, change ...func(*chain.Genesis)) *fixture {
	t.Helper()
	f := &fixture{}
	var founders []chain.Founder
	for i := range n {
		seed := sha256.Sum256(fmt.Append(nil, "mempool test ", i))
		key := ed25519.NewKeyFromSeed(seed[:])
		id := atp.IDFromKey([32]byte(key[32:]))
		f.keys, f.ids = append(f.keys, key), append(f.ids, id)
		founders = append(founders, chain.Founder{ID: id, Name: fmt.Sprintf("founder-%d", i)})
	}
	g := chain.NewGenesis("testing", epoch, chain.DefaultParams(chain.AdmitAuto), founders...)
	g.Validators = []atp.ID{f.ids[0]}
	for _, c := range change {
		c(&g)
	}
	if err := g.Check(); err != nil {
		t.Fatal(err)
	}
	var err error
	if f.state, _, err = g.State(); err != nil {
		t.Fatal(err)
	}
	return f
}

// tx is a transfer of a founder's with a fee.
func (f *fixture) tx(from int, nonce uint64, fee atp.Amount, change ...func(*chain.Transaction)) chain.VerifiedTx {
	return f.txOf(f.ids[from], nonce, fee, change...)
}

// txOf is a transfer of anybody's with a fee.
func (f *fixture) txOf(id atp.ID, nonce uint64, fee atp.Amount, change ...func(*chain.Transaction)) chain.VerifiedTx {
	tx := chain.Transaction{Version: chain.TxVersion, From: id, Nonce: nonce, Fee: fee}
	tx.Ops = []chain.Op{{Action: &chain.Transfer{To: f.ids[0], Amount: 1}}}
	for _, c := range change {
		c(&tx)
	}
	v, err := chain.SignTx(bft.InsecureSimulation{}, f.state.Genesis(), tx, func(message []byte) (bft.Signature, error) {
		return bft.InsecureSimulation{}.Sign(bft.ID(tx.From), message), nil
	})
	if err != nil {
		panic(err)
	}
	return v
}

func padded(ops int) func(*chain.Transaction) {
	return func(tx *chain.Transaction) {
		for range ops {
			tx.Ops = append(tx.Ops, tx.Ops[0])
		}
	}
}

func expiring(at atp.Millis) func(*chain.Transaction) {
	return func(tx *chain.Transaction) { tx.Expires = at }
}

// advance makes a block of txs and moves the pool past it.
func (f *fixture) advance(t testing.TB, p *Pool, txs []chain.VerifiedTx) chain.Block {
	t.Helper()
	return f.advanceTo(t, p, f.state.Tip().Time+1000, txs)
}

// advanceTo does so with a block of that time.
func (f *fixture) advanceTo(t testing.TB, p *Pool, at atp.Millis, txs []chain.VerifiedTx) chain.Block {
	t.Helper()
	tip := f.state.Tip()
	h := chain.Header{
		Time: at, Proposer: bft.ID(f.ids[0]),
		BeaconProof: bft.ProveBeacon(f.keys[0], f.state.Beacon(), tip.Height+1),
	}
	if tip.Height > 0 {
		h.LastCommit = &bft.CommitCert{Height: tip.Height, Block: tip.ID}
	}
	b, r, err := chain.Assemble(f.state, h, txs)
	if err != nil {
		t.Fatal(err)
	}
	f.state = r.State
	if p != nil {
		if err := p.Advance(r.State, b.Txs); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func add(t testing.TB, p *Pool, txs ...chain.VerifiedTx) {
	t.Helper()
	for _, tx := range txs {
		if err := p.Add(tx, epoch); err != nil {
			t.Fatal(err)
		}
	}
}

// selected lists "sender/nonce".
func selected(f *fixture, p *Pool) (list []string) {
	for _, v := range p.Select(epoch) {
		list = append(list, fmt.Sprintf("%d/%d", slices.Index(f.ids, v.Tx().From), v.Tx().Nonce))
	}
	return list
}

func TestSelectionKeepsNoncesInOrderAndPaysTheBestFirst(t *testing.T) {
	f := newFixture(t, 4)
	p := New(f.state)
	add(t, p,
		f.tx(1, 1, 900), f.tx(1, 0, 10), // the second pays well, and must wait for the first
		f.tx(2, 0, 500), f.tx(2, 1, 0), f.tx(2, 3, 9_000), // nonce 2 is missing
		f.tx(3, 0, 10), f.tx(3, 1, 10), // as much as the first of 1, and later
		f.tx(0, 5, 1_000_000), // nothing before it
	)
	want := []string{"2/0", "1/0", "1/1", "3/0", "3/1", "2/1"}
	if got := selected(f, p); !slices.Equal(got, want) {
		t.Errorf("selected %v, want %v", got, want)
	}
	add(t, p, f.tx(2, 2, 0))
	want = []string{"2/0", "1/0", "1/1", "3/0", "3/1", "2/1", "2/2", "2/3"}
	if got := selected(f, p); !slices.Equal(got, want) {
		t.Errorf("with the gap filled: selected %v, want %v", got, want)
	}
	if p.Len() != 9 {
		t.Errorf("%d wait, want 9: selecting takes nothing out", p.Len())
	}
}

func TestSelectionFitsABlock(t *testing.T) {
	for name, limits := range map[string]chain.Limits{
		"transactions": {BodyBytes: 1 << 20, TxBytes: 64 << 10, Txs: 3, Ops: 100, Due: 100},
		"operations":   {BodyBytes: 1 << 20, TxBytes: 64 << 10, Txs: 100, Ops: 3, Due: 100},
		"bytes":        {BodyBytes: 3 * 170, TxBytes: 3 * 170, Txs: 100, Ops: 100, Due: 100},
	} {
		f := newFixture(t, 2, func(g *chain.Genesis) { g.Params.Limits = limits })
		p := New(f.state)
		for nonce := range uint64(6) {
			add(t, p, f.tx(1, nonce, 0))
		}
		if got := len(p.Select(epoch)); got != 3 {
			t.Errorf("limited in %s: %d selected, want 3", name, got)
		}
		if b := f.advance(t, p, p.Select(epoch)); len(b.Txs) != 3 || p.Len() != 3 {
			t.Errorf("limited in %s: %d in the block, %d left", name, len(b.Txs), p.Len())
		}
	}
}

func TestAddRefuses(t *testing.T) {
	f := newFixture(t, 3, func(g *chain.Genesis) { g.Params.MinFee = 2; g.Params.Limits.TxBytes = 4_000 })
	other := newFixture(t, 3, func(g *chain.Genesis) { g.Network = "another" })
	for _, tt := range []struct {
		name string
		tx   chain.VerifiedTx
		want error
	}{
		{"a transaction of the next nonce", f.tx(1, 2, 2), nil},
		{"one that is known", f.tx(1, 1, 2), ErrKnown},
		{"one whose nonce is used", f.tx(1, 0, 3), ErrStale},
		{"the last that may wait", f.tx(1, MaxAhead, 2), nil},
		{"one further ahead", f.tx(1, 1+MaxAhead, 2), ErrAhead},
		{"one that has expired", f.tx(1, 3, 2, expiring(epoch)), ErrStale},
		{"one that expires now", f.tx(1, 3, 2, expiring(epoch+1000)), nil},
		{"one whose fee its sender lacks", f.tx(2, 0, 1_001*atp.ATP), ErrFunds},
		{"the second half of too much", f.tx(2, 1, 600*atp.ATP), ErrFunds},
		{"a replacement that pays enough less elsewhere", f.tx(2, 0, 900*atp.ATP), nil},
		{"one below the least fee", f.tx(1, 5, 1), chain.ErrInvalid},
		{"one that is too large", f.tx(1, 5, 2, padded(100)), chain.ErrInvalid},
		{"one of another chain", other.tx(1, 5, 2), chain.ErrInvalid},
		{"none", chain.VerifiedTx{}, chain.ErrInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := *f
			p := New(f.state)
			f.advance(t, p, []chain.VerifiedTx{f.tx(1, 0, 2)})
			add(t, p, f.tx(1, 1, 2), f.tx(2, 0, 500*atp.ATP))
			before := fmt.Sprint(p.Len(), p.Bytes(), selected(&f, p))
			err := p.Add(tt.tx, epoch)
			if !errors.Is(err, tt.want) || tt.want == nil && err != nil {
				t.Fatalf("have %v, want %v", err, tt.want)
			}
			if after := fmt.Sprint(p.Len(), p.Bytes(), selected(&f, p)); err != nil && after != before {
				t.Errorf("the pool changed: %s, %s", before, after)
			}
		})
	}
}

func TestAReplacementPaysATenthMore(t *testing.T) {
	f := newFixture(t, 2)
	for _, tt := range []struct{ old, least atp.Amount }{{0, 1}, {1, 2}, {5, 6}, {10, 11}, {11, 13}, {1_000, 1_100}, {1_001, 1_102}} {
		p := New(f.state)
		first := f.tx(1, 0, tt.old)
		add(t, p, first)
		if err := p.Add(f.tx(1, 0, tt.least-1, padded(1)), epoch); !errors.Is(err, ErrUnderpriced) {
			t.Errorf("%d for %d: %v", tt.least-1, tt.old, err)
		}
		second := f.tx(1, 0, tt.least)
		add(t, p, second)
		if _, ok := p.Get(first.ID()); ok || p.Len() != 1 || p.Bytes() != len(second.Bytes()) {
			t.Errorf("%d for %d: the first is still there", tt.least, tt.old)
		}
		if got, ok := p.ByAddress(second.Address()); !ok || got.ID() != second.ID() {
			t.Errorf("%d for %d: the second is not there", tt.least, tt.old)
		}
	}
}

func TestAFloodDrownsInItself(t *testing.T) {
	f := newFixture(t, 8)
	size := len(f.tx(1, 0, 0).Bytes())
	p := NewSized(f.state, 20*size)
	honest := []chain.VerifiedTx{f.tx(1, 0, 0), f.tx(2, 0, 0), f.tx(3, 0, 0)}
	add(t, p, honest...)
	full := 0
	for nonce := range uint64(MaxAhead) {
		if err := p.Add(f.tx(4, nonce, 0), epoch); errors.Is(err, ErrFull) {
			full++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if want := MaxAhead - 17; full != want {
		t.Errorf("%d of the flood refused, want %d", full, want)
	}
	late := []chain.VerifiedTx{f.tx(5, 0, 0), f.tx(6, 0, 0), f.tx(6, 1, 0)}
	add(t, p, late...) // each takes a place from the flood
	for _, tx := range append(honest, late...) {
		if _, ok := p.Get(tx.ID()); !ok {
			t.Errorf("%s of an honest sender is gone", tx.ID())
		}
	}
	if p.Bytes() > 20*size {
		t.Errorf("%d bytes wait, want at most %d", p.Bytes(), 20*size)
	}
	if got := len(p.Select(epoch)); got != 20 {
		t.Errorf("%d of 20 can be selected: the flood lost other than its newest", got)
	}
}

func TestWhatPaysLeastLeavesFirst(t *testing.T) {
	f := newFixture(t, 5)
	size := len(f.tx(1, 0, 1_000).Bytes())
	p := NewSized(f.state, 4*size+20)
	poor, rich := f.tx(1, 0, 1_000), f.tx(2, 0, 3_000)
	follower := f.tx(1, 1, 90_000) // waits behind the poor one
	add(t, p, poor, follower, rich, f.tx(3, 0, 2_000))
	if err := p.Add(f.tx(4, 0, 999), epoch); !errors.Is(err, ErrFull) {
		t.Fatalf("one that pays least of all: %v", err)
	}
	if p.Len() != 4 {
		t.Fatalf("%d wait, want 4", p.Len())
	}
	add(t, p, f.tx(4, 0, 1_500))
	for _, tt := range []struct {
		name string
		tx   chain.VerifiedTx
		want bool
	}{{"the one that paid least", poor, false}, {"what waited behind it", follower, false}, {"one that paid more", rich, true}} {
		if _, ok := p.Get(tt.tx.ID()); ok != tt.want {
			t.Errorf("%s is there: %v, want %v", tt.name, ok, tt.want)
		}
	}
}

func TestAdvanceDropsWhatCannotGoAnyMore(t *testing.T) {
	f := newFixture(t, 5)
	p := New(f.state)
	all := chain.Op{Action: &chain.Transfer{To: f.ids[0], Amount: 999 * atp.ATP}}
	spend := f.tx(3, 0, 0, func(tx *chain.Transaction) { tx.Ops[0] = all })
	included, rival := f.tx(1, 0, 10), f.tx(1, 0, 20)
	expired, lasting := f.tx(2, 0, 0, expiring(epoch+1_000)), f.tx(2, 1, 0)
	unpaid, paid := f.tx(3, 1, 2*atp.ATP), f.tx(3, 2, atp.ATP/2)
	add(t, p, rival, expired, lasting, spend, unpaid, paid, f.tx(4, 0, 0))
	f.advance(t, p, []chain.VerifiedTx{included, spend})
	for _, tt := range []struct {
		name string
		tx   chain.VerifiedTx
		want bool
	}{
		{"what is final", spend, false},
		{"what another of its nonce outran", rival, false},
		{"what has expired", expired, false},
		{"what waits behind it", lasting, true},
		{"what its sender cannot pay any more", unpaid, false},
		{"what it can", paid, true},
	} {
		if _, ok := p.Get(tt.tx.ID()); ok != tt.want {
			t.Errorf("%s waits: %v, want %v", tt.name, ok, tt.want)
		}
	}
	if got, want := selected(f, p), []string{"4/0"}; !slices.Equal(got, want) {
		t.Errorf("selected %v, want %v", got, want)
	}
}

func TestReadyMeansThatABlockCanHoldSomething(t *testing.T) {
	f := newFixture(t, 3)
	p := New(f.state)
	add(t, p, f.tx(1, 1, 0), f.tx(2, 0, 0, expiring(epoch+1_500)))
	for at, want := range map[atp.Millis]bool{epoch + 1: true, epoch + 1_500: true, epoch + 1_501: false} {
		if got := p.Ready(at); got != want || got != (len(p.Select(at)) > 0) {
			t.Errorf("ready at %d: %v, want %v", at-epoch, got, want)
		}
	}
}

// TestPoolLaws plays random senders against two pools that are given the same.
func TestPoolLaws(t *testing.T) {
	f := newFixture(t, 5)
	size := len(f.tx(1, 0, 0).Bytes())
	rapid.Check(t, func(rt *rapid.T) {
		f := *f
		bound := rapid.IntRange(2, 12).Draw(rt, "bound") * size
		p, twin := NewSized(f.state, bound), NewSized(f.state, bound)
		rt.Repeat(map[string]func(*rapid.T){
			"add": func(rt *rapid.T) {
				from := rapid.SampledFrom(append(f.ids[1:], stranger(1), stranger(2), stranger(3))).Draw(rt, "from")
				a, err := f.state.Account(from)
				if err != nil {
					rt.Fatal(err)
				}
				fee := atp.Amount(rapid.SampledFrom([]uint64{0, 0, 0, 7, 70, 900_000_000}).Draw(rt, "fee"))
				tx := f.txOf(from, a.Nonce+rapid.Uint64Range(0, 4).Draw(rt, "nonce"), fee, padded(rapid.IntRange(0, 2).Draw(rt, "size")))
				before := listing(p)
				err = p.Add(tx, epoch)
				if _, here := p.Get(tx.ID()); here != (err == nil || errors.Is(err, ErrKnown)) {
					rt.Fatalf("added: %v; there: %v", err, here)
				}
				if err != nil && !slices.Equal(before, listing(p)) {
					rt.Fatalf("%v, and the pool changed", err)
				}
				fresh := p.senders[from] == nil && a != (atp.Account{}) && tx.Tx().Nonce == a.Nonce
				if errors.Is(err, ErrFull) && fresh && useful(p)+len(tx.Bytes()) <= bound {
					rt.Fatalf("refused, while what stands behind gaps has its place: %v", err)
				}
				if again := twin.Add(tx, epoch); fmt.Sprint(again) != fmt.Sprint(err) {
					rt.Fatalf("the twin: %v, want %v", again, err)
				}
			},
			"block": func(rt *rapid.T) {
				txs := p.Select(f.state.Tip().Time + 1000)
				b := f.advance(t, p, txs)
				if len(b.Txs) == 0 && len(txs) > 0 {
					rt.Fatalf("%d were ready, and none made it", len(txs))
				}
				if err := twin.Advance(f.state, b.Txs); err != nil {
					rt.Fatal(err)
				}
			},
			"": func(rt *rapid.T) {
				checkPool(rt, p)
				if !slices.Equal(listing(p), listing(twin)) {
					rt.Fatal("two pools that were given the same differ")
				}
			},
		})
	})
}

// useful returns the bytes of all that has no gap before it.
func useful(p *Pool) (bytes int) {
	for _, q := range p.senders {
		for i, e := range q.entries {
			if e.nonce == q.next+uint64(i) {
				bytes += e.size
			}
		}
	}
	return bytes
}

// listing is what is selected, then everything, by ID.
func listing(p *Pool) (ids []cid.Cid) {
	for _, v := range p.Select(epoch) {
		ids = append(ids, v.ID())
	}
	var rest []cid.Cid
	for id := range p.byID {
		rest = append(rest, id)
	}
	slices.SortFunc(rest, func(a, b cid.Cid) int { return slices.Compare(a.Bytes(), b.Bytes()) })
	return append(ids, rest...)
}

func checkPool(t *rapid.T, p *Pool) {
	count, bytes, strangers := 0, 0, 0
	for id, q := range p.senders {
		var held uint64
		for i, e := range q.entries {
			if i > 0 && q.entries[i-1].nonce >= e.nonce || p.byID[e.tx.ID()] != e || p.byForm[e.tx.Address()] != e || e.tx.Tx().From != id {
				t.Fatalf("entry %d of %s is out of place", i, id)
			}
			held, bytes = held+e.share, bytes+e.size
			if e.stranger {
				strangers += e.size
			}
		}
		if held != q.share || len(q.entries) == 0 || len(q.entries) > MaxAhead {
			t.Fatalf("%s holds a share of %d in %d, counted %d", id, held, len(q.entries), q.share)
		}
		count += len(q.entries)
		if q.place != 0 && p.worst.Less(q.place, 0) {
			t.Fatalf("%s should lose a transaction before %s", id, p.worst[0].id)
		}
	}
	if strangers != p.strangers.bytes || strangers*strangersPart > p.maxBytes {
		t.Fatalf("strangers hold %d bytes, counted %d, want at most a quarter of %d", strangers, p.strangers.bytes, p.maxBytes)
	}
	if at := epoch.Add(1); p.Ready(at) != (len(p.Select(at)) > 0) {
		t.Fatal("ready is what can be selected, and it is not")
	}
	if count != p.Len() || len(p.byForm) != count || bytes != p.Bytes() || bytes > p.maxBytes {
		t.Fatalf("%d wait in %d bytes, counted %d in %d, want at most %d", count, bytes, p.Len(), p.Bytes(), p.maxBytes)
	}
}
