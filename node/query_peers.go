package node

import (
	"context"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/p2p"
)

// PeersWhy implements api.Explains. The host bounds all three lists.
func (n *Node) PeersWhy(context.Context) (view.PeersWhy, error) {
	why := view.PeersWhy{Missing: n.missing()}
	for _, r := range n.host.Refusals() {
		why.Refused = append(why.Refused, viewRefusal(r))
	}
	for _, o := range n.host.Offenders() {
		v := view.Offender{PeerID: o.ID}
		for _, x := range o.Offences {
			v.Offences = append(v.Offences, view.Offence{TimeMS: viewTime(x.Time), Text: x.What})
		}
		if o.Banned.After(time.Now()) {
			v.BannedUntilMS = viewTime(o.Banned)
		}
		why.Offenders = append(why.Offenders, v)
	}
	return why, nil
}

// missing returns the peers that the node wants and has not: those that it
// keeps dialling, and validators whose address it does not know.
func (n *Node) missing() []view.MissingPeer {
	var list []view.MissingPeer
	named := func(peer.ID) string { return "" }
	tried := n.connected()
	var validators []bft.ID
	if r := n.chain.Load(); r != nil {
		known := names{r.state(), map[atp.ID]string{}}
		named = func(id peer.ID) string { return known.of(atp.ID{ID: id}) }
		validators = r.state().Validators().IDs()
	}
	for _, w := range n.host.Wanted() {
		if w.Connected {
			continue
		}
		tried[w.ID] = true
		list = append(list, view.MissingPeer{
			PeerID: w.ID, Name: named(w.ID), Addresses: addrTexts(w.Addrs), Bootstrap: w.Bootstrap, Attempts: w.Attempts, Reason: oneLine(w.LastError),
		})
	}
	for _, id := range validators {
		if !tried[id.ID] {
			list = append(list, view.MissingPeer{PeerID: id.ID, Name: named(id.ID), Addresses: []string{}, Reason: "nobody has told where it listens"})
		}
	}
	return list
}

func viewRefusal(r p2p.Refusal) view.RefusedPeer {
	v := view.RefusedPeer{
		PeerID: r.ID, Name: r.Name, Reason: r.Reason, Network: r.Network, Times: r.Times, FirstMS: viewTime(r.First), LastMS: viewTime(r.Last),
	}
	if r.Addr != nil {
		v.Address = r.Addr.String()
	}
	if !r.Genesis.IsZero() {
		v.Genesis = r.Genesis.String()
	}
	return v
}

func addrTexts(addrs []multiaddr.Multiaddr) []string {
	texts := make([]string, len(addrs))
	for i, a := range addrs {
		texts[i] = a.String()
	}
	return texts
}

func viewTime(t time.Time) view.Millis { return view.Millis(max(0, t.UnixMilli())) }

// maxReason bounds the text of a failed dial, which has a line for each address.
const maxReason = 400

// oneLine is an error's text in one line of bounded length.
func oneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxReason {
		return strings.ToValidUTF8(text[:maxReason], "") + "…"
	}
	return text
}
