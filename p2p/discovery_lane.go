package p2p

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/multiformats/go-multiaddr"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
)

// lane speaks mDNS on one interface with one version of IP.
type lane struct {
	d      *discovery
	nic    nic
	family family
	addrs  []multiaddr.Multiaddr // announced
	says   announcement          // but for the facts

	goodbye, query []byte        // messages
	asked          chan struct{} // holds one token when somebody waits for an announcement
	all            *rate.Limiter // messages read
	sources        recent[netip.Addr, *rate.Limiter]

	stop context.CancelFunc
	done chan struct{}

	record Lane // guarded by discovery.mu
}

func newLane(d *discovery, n nic, f family, a announcement) (*lane, error) {
	l := &lane{
		d: d, nic: n, family: f, addrs: a.addrs, says: a,
		asked:   make(chan struct{}, 1),
		all:     rate.NewLimiter(packetRate, packetRate),
		sources: newRecent[netip.Addr, *rate.Limiter](maxSources),
		done:    make(chan struct{}),
		record:  Lane{Interface: n.name, Family: string(f), Announced: a.addrs},
	}
	var err error
	if d.silent {
		l.query, err = encodeQuery(metaService, "")
		return l, err
	}
	if l.goodbye, err = a.encode(0); err != nil {
		return nil, err
	}
	l.query, err = encodeQuery(a.service, a.instance)
	return l, err
}

// same reports whether the two do the same thing.
func (l *lane) same(o *lane) bool {
	return l.nic.index == o.nic.index && slices.Equal(l.nic.nets, o.nic.nets) &&
		slices.EqualFunc(l.addrs, o.addrs, multiaddr.Multiaddr.Equal)
}

// keep opens the port, again and again when it fails.
func (l *lane) keep(ctx context.Context) {
	for attempt := 1; ctx.Err() == nil; attempt++ {
		begun := time.Now()
		err := l.operate(ctx)
		if ctx.Err() != nil {
			return
		}
		l.failed(err)
		if time.Since(begun) > laneRetryMax {
			attempt = 1
		}
		if attempt == 1 {
			l.d.log.Warn("mdns fails", "interface", l.nic.name, "family", l.family, "err", err)
		}
		pause(ctx, backoff(attempt, laneRetryMin, laneRetryMax))
	}
}

// operate speaks and listens until ctx ends, or with the first error.
func (l *lane) operate(ctx context.Context) error {
	p, err := l.d.open(l.nic, l.family)
	if err != nil {
		return err
	}
	l.note(func(r *Lane) { r.Open = time.Now() })
	defer l.note(func(r *Lane) { r.Open = time.Time{} })
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer p.Close() // ends listen
		l.speak(ctx, p)
		return nil
	})
	g.Go(func() error { return l.listen(p) })
	return g.Wait()
}

// speak announces, asks and answers until ctx ends, and says goodbye.
func (l *lane) speak(ctx context.Context, p port) {
	begun := time.Now()
	var answered time.Time
	failures := 0
	for asked := 0; ctx.Err() == nil; {
		ok := true
		if asked < len(opening) && time.Since(begun) >= opening[asked] {
			ok = l.send(p, l.query)
			asked++
		}
		said := time.Now()
		ok = l.announce(p) && ok
		next := announceEvery - rand.N(announceEvery/8) // so that hosts do not fall into step
		if asked < len(opening) {
			next = begun.Add(opening[asked]).Sub(said)
		}
		if failures++; ok {
			failures = 0
		} else { // an IPv6 address cannot send in its first second or two
			next = min(next, backoff(failures, laneRetryMin, laneRetryMax))
		}
		timer := time.NewTimer(next)
		select {
		case <-timer.C:
		case <-l.asked:
			pause(ctx, time.Until(answered.Add(answerGap)))
			answered = time.Now()
		case <-ctx.Done():
		}
		timer.Stop()
	}
	if !l.d.silent {
		l.send(p, l.goodbye)
	}
}

// announce says hello, with the facts of this moment.
func (l *lane) announce(p port) bool {
	if l.d.silent {
		return true
	}
	a := l.says
	l.d.note(func() { a.facts = l.d.facts })
	b, err := a.encode(announceTTL)
	if err != nil {
		l.failed(err)
		return false
	}
	return l.send(p, b)
}

// wake asks for an announcement soon.
func (l *lane) wake() {
	select {
	case l.asked <- struct{}{}:
	default:
	}
}

func (l *lane) send(p port, b []byte) bool {
	if err := p.send(b); err != nil {
		l.failed(err)
		return false
	}
	l.note(func(r *Lane) { r.Sent.add() })
	return true
}

// listen reads until the port is closed or fails.
func (l *lane) listen(p port) error {
	b := make([]byte, maxPacket)
	for {
		n, from, err := p.receive(b)
		if err != nil {
			return err
		}
		l.hear(b[:n], from)
	}
}

// hear judges one message. Only those of this very LAN count: the port is open to
// all the world.
func (l *lane) hear(b []byte, from netip.Addr) {
	if !from.IsLinkLocalUnicast() && !l.nic.reaches(from) || !l.paced(from) {
		l.note(func(r *Lane) { r.Dropped.add() })
		return
	}
	o, err := decodeMDNS(l.d.service, b)
	ours := o.instance == l.d.instance
	l.note(func(r *Lane) {
		switch {
		case err != nil:
			r.Malformed.add()
		case ours:
			r.Echoed.add()
		case o.tells && o.peer.ID == l.d.id:
			r.Twin, r.TwinAt = from, time.Now()
		case o.tells || o.asks:
			r.Heard.add()
		default:
			r.Others.add()
		}
	})
	if err == nil && o.network != "" && o.peer.ID != l.d.id {
		l.d.overhear(o, from, l.nic.name)
	}
	switch {
	case err != nil || ours:
	case o.asks || o.lists:
		l.wake()
	case o.tells && o.peer.ID != l.d.id:
		o.peer.Addrs = l.nic.neighbours(o.peer)
		l.d.host.sight(sighting{overheard: o, from: from, via: l.nic.name})
	}
}

// paced reports whether there is time for one more message.
func (l *lane) paced(from netip.Addr) bool {
	source, ok := l.sources.get(from)
	if !ok {
		source = rate.NewLimiter(sourceRate, 2*sourceRate)
		l.sources.put(from, source)
	}
	return source.Allow() && l.all.Allow()
}

func (l *lane) failed(err error) {
	l.note(func(r *Lane) {
		r.Failed.add()
		r.Error = err.Error()
	})
}

func (l *lane) note(change func(*Lane)) {
	l.d.note(func() { change(&l.record) })
}

// pause waits, unless ctx ends first.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
