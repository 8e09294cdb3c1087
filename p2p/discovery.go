package p2p

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"golang.org/x/sync/errgroup"
)

// Discovery on the LAN: multicast DNS with the records of libp2p's own, under the
// service name of the network. libp2p's p2p/discovery/mdns, and the zeroconf that
// it drives, are not used: they cannot leave an interface out, give up for good
// when none is up at the start, fix the addresses then, tell of a peer once an
// hour, and drop the errors of sending, so that nobody could say why two machines
// do not find each other.
//
// There is one lane per interface and version of IP, made anew when the interface
// or its addresses change. A lane announces this platform's addresses on that
// interface and asks who else is there; whoever is asked announces itself, at most
// once a second. Of those heard, a bounded number is dialled: see
// discovery_found.go.
const (
	nicPoll       = time.Second      // between looks at the interfaces
	announceEvery = 20 * time.Second // five are lost in a row before a peer is forgotten
	answerGap     = time.Second      // between answers on a lane (RFC 6762, 6)
	laneRetryMin  = time.Second      // before a lane that failed is opened again; doubled each time
	laneRetryMax  = 30 * time.Second
	maxPacket     = 9000 // RFC 6762, 17
	packetRate    = 500  // messages a second read on a lane: the busiest LAN has a tenth
	sourceRate    = 20   // of them from one address
	maxSources    = 1024 // addresses whose rate is remembered
	maxSkipped    = 64   // interfaces listed as left alone
)

// opening is when a new lane asks: on Wi-Fi, one multicast packet in ten is lost,
// and an IPv6 address cannot be used for up to two seconds (RFC 4862, §5.4).
var opening = [...]time.Duration{0, time.Second, 2 * time.Second}

// discovery finds platforms on the LAN.
type discovery struct {
	id       peer.ID
	service  string
	instance string
	log      *slog.Logger
	host     neighbour
	nics     func() ([]nic, error)           // listNICs but in tests
	open     func(nic, family) (port, error) // openPort but in tests
	skip     []string
	silent   bool // announces nothing, and asks for all networks

	mu      sync.Mutex
	facts   []string           // guarded by mu: announced besides the addresses
	heard   map[string]*heard  // guarded by mu: by network and ID
	ended   Discovery          // guarded by mu: at the end of run
	lanes   map[laneKey]*lane  // guarded by mu: those that run
	skipped []SkippedInterface // guarded by mu
	failure string             // guarded by mu: of the last look at the interfaces
	changed time.Time          // guarded by mu: when lanes last came or went
	changes int                // guarded by mu
}

// neighbour is what discovery needs of its host.
type neighbour interface {
	listens() []multiaddr.Multiaddr // as given to bind, ports filled in
	sight(sighting)                 // an announcement has been heard
	forgetUnheard()                 // called now and then
	moved()                         // addresses of this machine have come or gone
}

type laneKey struct {
	name   string
	family family
}

func newDiscovery(cfg Config, id peer.ID, host neighbour, log *slog.Logger) *discovery {
	skip := cfg.MDNSSkip
	if skip == nil {
		skip = DefaultMDNSSkip()
	}
	return &discovery{
		id: id, host: host, log: log, skip: skip,
		service:  serviceName(cfg.Network),
		instance: strings.ToLower(rand.Text()) + "sage0", // as long as libp2p's: 32 to 63
		nics:     func() ([]nic, error) { return listNICs(skip) },
		open:     openPort,
		lanes:    map[laneKey]*lane{},
		heard:    map[string]*heard{},
	}
}

// run keeps a lane on every usable interface until ctx ends.
func (d *discovery) run(ctx context.Context) error {
	var g errgroup.Group
	tick := time.NewTicker(nicPoll)
	defer tick.Stop()
	for ctx.Err() == nil {
		d.look(ctx, &g)
		d.host.forgetUnheard()
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	ended := d.report()
	d.note(func() { d.ended = ended })
	return g.Wait()
}

// look compares the interfaces with the lanes, and makes them agree.
func (d *discovery) look(ctx context.Context, g *errgroup.Group) {
	nics, err := d.nics()
	if err != nil { // the lanes that run may still be good
		d.note(func() { d.failure = err.Error() })
		return
	}
	plans, skipped := d.plan(nics)
	var ended, begun []*lane
	d.note(func() {
		d.failure, d.skipped = "", skipped
		for key, l := range d.lanes {
			if p := plans[key]; p == nil || !p.same(l) {
				ended = append(ended, l)
				delete(d.lanes, key)
				if p != nil {
					p.record = l.record // what was sent and heard before
					p.record.Announced = p.addrs
				}
			}
		}
		for key, l := range plans {
			if d.lanes[key] == nil {
				begun = append(begun, l)
				d.lanes[key] = l
			}
		}
		if len(ended)+len(begun) > 0 {
			d.changes++
			d.changed = time.Now()
		}
	})
	for _, l := range ended {
		d.log.Info("mdns ends", "interface", l.nic.name, "family", l.family)
		l.stop()
		<-l.done
	}
	if len(ended)+len(begun) > 0 {
		d.host.moved()
	}
	for _, l := range begun {
		d.log.Info("mdns begins", "interface", l.nic.name, "family", l.family, "addrs", l.addrs)
		ctx, stop := context.WithCancel(ctx)
		l.stop = stop
		g.Go(func() error {
			defer close(l.done)
			defer stop()
			l.keep(ctx)
			return nil
		})
	}
}

// plan returns the lanes that there should be, not yet begun, and why the other
// interfaces have none.
func (d *discovery) plan(nics []nic) (map[laneKey]*lane, []SkippedInterface) {
	plans := map[laneKey]*lane{}
	var skipped []SkippedInterface
	listens := slices.SortedFunc(slices.Values(d.host.listens()), multiaddr.Multiaddr.Compare) // libp2p's order is none
	for _, n := range nics {
		addrs, ip := n.announceable(listens)
		reason := n.unfit(d.skip)
		switch {
		case reason != "":
		case len(n.nets) == 0:
			reason = "no address"
		case len(addrs) == 0 && !d.silent:
			reason = "this platform does not listen at its addresses"
		}
		a := announcement{service: d.service, instance: d.instance, addrs: withID(d.id, addrs), ip: ip}
		for _, f := range []family{ip4, ip6} {
			if reason != "" || !n.has(f) {
				continue
			}
			l, err := newLane(d, n, f, a)
			if err != nil {
				reason = err.Error()
				continue
			}
			plans[laneKey{n.name, f}] = l
		}
		if reason != "" && n.flags&net.FlagLoopback == 0 && len(skipped) < maxSkipped {
			skipped = append(skipped, SkippedInterface{n.name, reason})
		}
	}
	return plans, skipped
}

func (d *discovery) note(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}
