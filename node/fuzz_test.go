package node

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/replica"
	"github.com/sage-p2p/sage-p2p/node/wire"
	"github.com/sage-p2p/sage-p2p/p2p"
	"github.com/sage-p2p/sage-p2p/task"
)

// listener is the wires of a node whose loop is a test.
func listener(tb testing.TB, w *world) (*wires, <-chan replica.Input) {
	tb.Helper()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	host, err := p2p.New(p2p.Config{
		Key: key, Listen: []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/127.0.0.1/tcp/0")}, Network: "testing",
		Name: "listener", Agent: "test", Genesis: p2p.Genesis(w.hash), Limits: p2p.EdgeLimits(),
	})
	if err != nil {
		tb.Fatal(err)
	}
	inputs := make(chan replica.Input, 4)
	return &wires{
		genesis: w.hash, params: w.genesis.Params, host: host, log: slog.New(slog.DiscardHandler), ctx: tb.Context(),
		inputs: inputs, known: newKnown(), memory: newCertificates(), present: newPresence(),
		head: func() head { return head{state: w.state} },
	}, inputs
}

// came returns what the loop was given, at most one thing for one frame.
func came(t *testing.T, inputs <-chan replica.Input) (in replica.Input) {
	t.Helper()
	if len(inputs) > 1 {
		t.Fatalf("one frame gives the loop %d things", len(inputs))
	}
	if len(inputs) == 1 {
		in = <-inputs
	}
	return in
}

// FuzzFrame takes frames of /sage/bft/1. What is accepted is given to the loop,
// as it was sent; what is rejected never comes there.
func FuzzFrame(f *testing.F) {
	w := newWorld(f, 2)
	id := w.state.Tip().ID
	f.Add(wire.MessageFrame(&bft.Status{Height: 1, FinalID: id}))
	f.Add(wire.MessageFrame(&bft.Vote{Kind: bft.KindPrepare, Height: 1, Block: id, Signer: w.all[0].ID()}))
	f.Add(append([]byte{wire.FrameBundle}, bundles([]chain.VerifiedTx{w.tx(0, 0, nil), w.tx(1, 0, nil)})[0]...))
	f.Add([]byte{wire.FrameBundle})
	f.Add([]byte{3})
	f.Add([]byte{})
	wires, inputs := listener(f, w)
	from := newActor("stranger").ID().ID
	f.Fuzz(func(t *testing.T, frame []byte) {
		verdict := wires.frame(from, frame)
		switch in := came(t, inputs).(type) {
		case nil:
			if verdict == p2p.Accept {
				t.Fatal("accepted, and lost")
			}
		case replica.Received:
			if verdict != p2p.Accept || in.From.ID != from || !bytes.Equal(wire.MessageFrame(in.Message), frame) {
				t.Fatalf("verdict %v; sent %x, the loop has %+v", verdict, frame, in)
			}
		case replica.Transactions:
			if verdict == p2p.Reject || in.Local || in.From.ID != from {
				t.Fatalf("verdict %v; the loop has %+v", verdict, in)
			}
			for _, tx := range in.Txs {
				if tx.Genesis() != w.hash {
					t.Fatal("a transaction of another chain")
				}
			}
		}
	})
}

// FuzzHead takes certificates of the heads topic. None passes that nobody
// signed; one from further up tells the loop, and is passed on to nobody.
func FuzzHead(f *testing.F) {
	w := newWorld(f, 2)
	id := w.state.Tip().ID
	for h := range bft.Height(4) {
		f.Add(bft.Encode(&bft.CommitCert{Height: h, Block: id, Signers: bft.Bitmap{1}, Signatures: make([]bft.Signature, 1)}))
	}
	f.Add(bft.Encode(&bft.Status{Height: 1, FinalID: id}))
	wires, inputs := listener(f, w)
	from := newActor("stranger").ID().ID
	f.Fuzz(func(t *testing.T, raw []byte) {
		verdict := wires.heard(from, raw)
		in := came(t, inputs)
		if verdict == p2p.Accept {
			t.Fatalf("a certificate by nobody passes: %x", raw)
		}
		m, err := bft.Decode(raw)
		if err != nil && (verdict != p2p.Reject || in != nil) {
			t.Fatalf("verdict %v on what does not decode; the loop has %+v", verdict, in)
		}
		if r, ok := in.(replica.Received); in != nil && (!ok || r.Message.Position() != m.Position()) {
			t.Fatalf("the loop has %+v", in)
		}
	})
}

// FuzzFetchReply unpacks what a peer answers to a fetch. Whatever comes out has
// signatures of this chain that hold, and bodies that fit their headers.
func FuzzFetchReply(f *testing.F) {
	w := newWorld(f, 2)
	h := chain.Header{Time: w.state.Tip().Time + 1000, Proposer: w.all[0].ID(), BeaconProof: w.all[0].ProveBeacon(w.state.Beacon(), 1)}
	b, _, err := chain.Assemble(w.state, h, []chain.VerifiedTx{w.tx(0, 0, nil)})
	if err != nil {
		f.Fatal(err)
	}
	id, err := b.Header.ID()
	if err != nil {
		f.Fatal(err)
	}
	cert := &bft.CommitCert{Height: 1, Block: id, Signers: bft.Bitmap{1}, Signatures: make([]bft.Signature, 1)}
	for _, r := range []wire.Reply{
		{},
		{Txs: []chain.Transaction{w.tx(1, 0, nil).Tx()}},
		{Blocks: []wire.Parcel{{Header: b.Header, Body: b.Body(), Cert: cert}}},
		{Peers: []wire.Contact{{ID: w.all[0].ID(), Addrs: []string{"/ip4/10.0.0.1/tcp/1"}}}},
	} {
		raw, err := atp.Encode(&r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	wires, _ := listener(f, w)
	f.Fuzz(func(t *testing.T, raw []byte) {
		var got replica.Fetched
		if err := wires.unpack(raw, &got); err != nil {
			return
		}
		for _, tx := range got.Txs {
			if tx.Genesis() != w.hash {
				t.Fatal("a transaction of another chain")
			}
		}
		for _, b := range got.Blocks {
			if _, err := b.Block.Body().Verify(bft.ZIP215{}, nil, w.hash, b.Block.Header); err != nil {
				t.Fatalf("a body that does not fit its header: %v", err)
			}
		}
	})
}

// FuzzFounding hears the announcement of one or two other founders. It ends no
// founding; we sign once at most, and a genesis that is complete can found a
// chain.
func FuzzFounding(f *testing.F) {
	params := chain.DefaultParams(chain.AdmitAuto)
	hash, err := paramsHash(params)
	if err != nil {
		f.Fatal(err)
	}
	self, other, third := newActor("0"), newActor("1"), newActor("2")
	for _, a := range []wire.Announcement{
		{Name: "node-1", Time: epoch, Expect: 2, Params: hash},
		{Name: "node-1", Time: 1, Expect: 2, Params: hash, Draft: [32]byte{1}},
		{Name: "node-0", Time: epoch, Expect: 2, Params: hash},
		{Name: "node-1", Time: epoch, Expect: 3, Params: hash, Genesis: []byte("{}")},
		{Name: "node-1", Time: 1<<64 - 1, Expect: 3, Params: hash},
	} {
		raw, err := atp.Encode(&a)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := wire.DecodeAnnouncement(raw)
		if err != nil {
			return
		}
		signs, b := 0, a
		if b.Name += "b"; task.Name(b.Name).Check() != nil {
			return
		}
		cfg := Config{Home: t.TempDir(), Name: "node-0", Network: "testing", Expect: 2 + int(a.Expect)%2}
		us, err := newFounding(cfg, self.id(), params, epoch, func(m []byte) (bft.Signature, error) {
			signs++
			return self.sign(m)
		})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 { // it is asked again and again, and agrees to whatever we say
			heard := map[atp.ID]wire.Announcement{other.id(): a}
			if cfg.Expect == 3 {
				heard[third.id()] = b
			}
			g, waiting, err := us.hear(heard)
			if err != nil {
				t.Fatalf("the word of another ends it: %v", err)
			}
			if waiting == "" && g.Validate() != nil {
				t.Fatal("a genesis that cannot found a chain is taken for complete")
			}
			a.Draft, b.Draft = us.say.Draft, us.say.Draft
		}
		if signs > 1 {
			t.Fatalf("%d signatures given", signs)
		}
	})
}

// FuzzContacts hears where platforms listen: only of those that matter, at most
// so many addresses of each, and of no other's by the word of a stranger alone.
func FuzzContacts(f *testing.F) {
	v := newActor("0").ID()
	f.Add("/ip4/10.0.0.1/tcp/1", "/ip6/::1/udp/1/quic-v1", byte(3))
	f.Add("/dns4/"+string(bytes.Repeat([]byte("a"), 300))+"/tcp/1", "/p2p/"+v.String(), byte(0))
	f.Add("/ip4/1.2.3.4/tcp/0/p2p/"+v.String(), "", byte(20))
	f.Fuzz(func(t *testing.T, one, two string, n byte) {
		c := newContacts()
		for i := range 1 + int(n)%32 {
			told := wire.Contact{ID: v, Addrs: []string{one, two}}
			by := teller{id: newActor("stranger").ID().ID, now: time.Unix(int64(i), 0)}
			c.heard(by, []wire.Contact{told, {ID: bft.ID{}, Addrs: told.Addrs}}, func(id peer.ID) bool { return id == v.ID })
		}
		for _, list := range [][]peer.AddrInfo{c.list(theirOwn), c.list(credible)} {
			if len(list) > 0 {
				t.Fatalf("a stranger's word counts: %v", list)
			}
		}
		for _, info := range c.list(anyones) {
			if info.ID != v.ID || len(info.Addrs) > maxContactAddrs {
				t.Fatalf("%d addresses of %s", len(info.Addrs), info.ID)
			}
			for _, a := range info.Addrs {
				if transport, id := peer.SplitAddr(a); transport == nil || id != "" {
					t.Fatalf("an address that names somebody else: %s", a)
				}
			}
		}
	})
}

// FuzzLeavingFile reads what a platform that leaves its federation noted. It may
// name no folder outside the home.
func FuzzLeavingFile(f *testing.F) {
	l := leaving{Genesis: bft.GenesisHash{1}.String(), For: bft.GenesisHash{2}.String(), Aside: "left-1"}
	raw, err := json.Marshal(l)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	l.Aside = "../elsewhere"
	raw, err = json.Marshal(l)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		l, left, other, err := readLeaving(raw)
		if err != nil {
			return
		}
		if !strings.EqualFold(hex.EncodeToString(left[:]), l.Genesis) || !strings.EqualFold(hex.EncodeToString(other[:]), l.For) {
			t.Fatalf("%+v is read as %v and %v", l, left, other)
		}
		if where := aside("/home", l); filepath.Dir(where) != "/home" {
			t.Fatalf("it leads to %s", where)
		}
	})
}

// FuzzJournalFile reads what was promised for a task, from a file that may be
// damaged: what is not of the task, or no proof, is refused and not written over.
func FuzzJournalFile(f *testing.F) {
	id := someCID("task")
	f.Add([]byte(`{"task":{"/":"` + id.String() + `"}}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		j, err := openJournal(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(j.dir, id.String()+entrySuffix)
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		e, known, err := j.read(id)
		if err == nil && (!known || e.Task != id || e.Proof != nil && e.Proof.Check() != nil) {
			t.Fatalf("%s is read as %+v", raw, e)
		}
		if err != nil {
			if j.promise(someTask("task")) == nil {
				t.Fatal("what could not be read was written over")
			}
			if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, raw) {
				t.Fatalf("the file has changed: %q, %v", now, err)
			}
		}
	})
}

// FuzzFederations lists the federations that platforms on the LAN say they are
// of: each platform in one, each federation once, in order.
func FuzzFederations(f *testing.F) {
	f.Add("lan", "home", "aa", "bb", "1700000000000")
	f.Add("lan", "lan", "", "", "-1")
	f.Add("", "\xff", "x", "x", "99999999999999999999")
	f.Fuzz(func(t *testing.T, network, other, genesis, another, since string) {
		var told []p2p.Heard
		for i, n := range []string{network, other, network, other} {
			told = append(told, p2p.Heard{Network: n, ID: newActor(fmt.Sprint(i)).ID().ID, Facts: map[string]string{
				factGenesis: []string{genesis, genesis, another, another}[i], factSince: since, factName: since,
			}})
		}
		list, platforms := federations(told), 0
		for i, fed := range list {
			if platforms += len(fed.Platforms); len(fed.Platforms) == 0 {
				t.Fatalf("listed: %+v", fed)
			}
			if i > 0 && (list[i-1].Network > fed.Network || list[i-1].Network == fed.Network && list[i-1].Genesis >= fed.Genesis) {
				t.Fatalf("%+v is listed before %+v", list[i-1], fed)
			}
		}
		if platforms != len(told) {
			t.Fatalf("%d platforms listed, want %d", platforms, len(told))
		}
	})
}
