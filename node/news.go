package node

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/p2p"
)

// Strangers come and go as they like. What they do must not push out of the log
// what the chain did: of more news of peers than this the rest is not told.
const (
	peerNewsPerSecond = 2
	peerNewsBurst     = 128
)

func newPeerNews() *rate.Limiter { return rate.NewLimiter(peerNewsPerSecond, peerNewsBurst) }

// Who is turned away dials again at once. The same peer with the same reason is
// news once in a while; of so many the node remembers when that was.
const (
	refusalNewsEvery = time.Minute
	maxRefusalNews   = 256
)

// refusalNews is which refusals were told lately, and when.
type refusalNews struct {
	mu   sync.Mutex
	last map[toldRefusal]time.Time // guarded by mu
}

type toldRefusal struct {
	who    peer.ID
	reason string
}

// fresh reports whether a refusal is to be told, and remembers that it is.
func (n *refusalNews) fresh(r p2p.Refusal) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	key := toldRefusal{r.ID, r.Reason}
	if last, told := n.last[key]; told && r.Last.Sub(last) < refusalNewsEvery {
		return false
	}
	if n.last == nil || len(n.last) >= maxRefusalNews { // then some are told once more
		n.last = map[toldRefusal]time.Time{}
	}
	n.last[key] = r.Last
	return true
}

// newsOf makes an event that is no block's doing, as of now.
func newsOf(kind view.EventKind, name, subject string, height bft.Height, data any) view.Event {
	raw, err := json.Marshal(data)
	if err != nil {
		raw = nil // news have only fields that JSON can hold
	}
	return view.Event{Kind: kind, Name: name, Height: view.Height(height), TimeMS: view.Millis(nowMillis()), Subject: subject, Data: raw}
}

// peerNews is what the log says of a connection, if it says anything.
func peerNews(e p2p.Event, height bft.Height) (view.Event, bool) {
	switch e := e.(type) {
	case p2p.PeerUp:
		news := view.PeerNews{Name: e.Name}
		if len(e.Addrs) > 0 {
			news.Address = e.Addrs[0].String()
		}
		return newsOf(view.EventPeer, view.NamePeerUp, e.ID.String(), height, news), true
	case p2p.PeerDown:
		return newsOf(view.EventPeer, view.NamePeerDown, e.ID.String(), height, view.PeerNews{Reason: e.Reason}), true
	case p2p.Refused:
		v := viewRefusal(e.Refusal)
		return newsOf(view.EventPeer, view.NamePeerRefused, e.ID.String(), height, view.PeerNews{Name: v.Name, Address: v.Address, Reason: v.Reason}), true
	}
	return view.Event{}, false
}

// tellPeer logs news of a peer, unless it is told already or there are too many,
// and wakes who waits.
func (n *Node) tellPeer(e p2p.Event) {
	if r, ok := e.(p2p.Refused); ok && !n.refusals.fresh(r.Refusal) {
		n.hub.tell()
		return
	}
	if news, ok := peerNews(e, n.height()); ok && n.peerNews.Allow() {
		n.hub.tell(news)
		return
	}
	n.hub.tell()
}

// txEvents tells what became of the transactions of a block.
func txEvents(b chain.Block, receipts []chain.Receipt) []view.Event {
	var events []view.Event
	for i, tx := range b.Txs {
		t, r := tx.Tx(), receipts[i]
		end := view.TxEnd{From: t.From.ID, Nonce: t.Nonce, OK: r.OK()}
		if !r.OK() {
			end.Error = r.Detail
		}
		events = append(events, view.TxEvent(viewCID(tx.ID()), end, view.Height(b.Header.Height), view.Millis(b.Header.Time)))
	}
	return events
}

// txExpired tells that transactions made here can be in no block any more.
func txExpired(dead []cid.Cid, height bft.Height) []view.Event {
	var events []view.Event
	for _, id := range dead {
		events = append(events, newsOf(view.EventTx, view.NameTxExpired, id.String(), height, struct{}{}))
	}
	return events
}

// validatorNews tells how a block changed the set that decides, if it did.
func validatorNews(before, after bft.ValidatorSet, tip chain.Tip) []view.Event {
	news := view.ValidatorsNews{Validators: after.Len(), Quorum: after.Quorum(), Joined: missingFrom(before, after), Left: missingFrom(after, before)}
	if len(news.Joined) == 0 && len(news.Left) == 0 {
		return nil
	}
	e := newsOf(view.EventValidator, view.NameValidators, "", tip.Height, news)
	e.TimeMS = view.Millis(tip.Time)
	return []view.Event{e}
}

// missingFrom returns the members of set that other has not.
func missingFrom(other, set bft.ValidatorSet) []peer.ID {
	var list []peer.ID
	for _, id := range set.IDs() {
		if !other.Contains(id) {
			list = append(list, id.ID)
		}
	}
	return list
}

// height is that of the newest final block, also before the chain runs.
func (n *Node) height() bft.Height {
	if r := n.chain.Load(); r != nil {
		return r.state().Tip().Height
	}
	head, err := n.store.Head()
	if err != nil {
		return 0 // there is no chain yet
	}
	return head.Height
}
