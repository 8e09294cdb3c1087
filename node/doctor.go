package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/p2p"
)

// Doctor implements api.Explains.
func (n *Node) Doctor(ctx context.Context) (view.Doctor, error) {
	s, err := n.symptoms(ctx)
	if err != nil {
		return view.Doctor{}, err
	}
	list := []view.Finding(s.findings())
	return view.Doctor{Verdict: view.Worst(list), Findings: list}, nil
}

// symptoms is what a look at the node finds, before it is judged.
type symptoms struct {
	now       time.Time
	status    view.Status
	keyFile   string
	keyMode   os.FileMode
	noWork    bool
	addrs     []multiaddr.Multiaddr
	moved     bool // the default port was taken
	lan       p2p.Discovery
	peers     []p2p.Peer
	missing   []view.MissingPeer
	refused   []p2p.Refusal
	offenders []p2p.Offender
	announced bool // the operator says where it is reached
	seats     []p2p.Seat
	reached   []multiaddr.Multiaddr // from the internet, as peers have tried
	unreached []multiaddr.Multiaddr
	free      uint64 // bytes of the disk
	size      uint64
	diskErr   error
	models    upstreamHealth
}

func (n *Node) symptoms(ctx context.Context) (symptoms, error) {
	st, err := n.Status(ctx)
	if err != nil {
		return symptoms{}, err
	}
	s := symptoms{
		now: time.Now(), status: st, keyFile: filepath.Join(n.cfg.Home, "key"), noWork: n.cfg.NoWork,
		addrs: n.host.Addrs(), moved: slices.Equal(n.cfg.Listen, defaultListen(defaultPort)), lan: n.host.Discovery(),
		announced: len(n.cfg.Announce) > 0, seats: n.host.Seats(),
		peers: n.host.Peers(), missing: n.missing(), refused: n.host.Refusals(), offenders: n.host.Offenders(),
	}
	s.reached, s.unreached = n.host.Reached()
	for _, a := range s.addrs {
		if port, err := a.ValueForProtocol(multiaddr.P_TCP); err == nil && port == fmt.Sprint(defaultPort) {
			s.moved = false
		}
	}
	if info, err := os.Stat(s.keyFile); err == nil {
		s.keyMode = info.Mode().Perm()
	}
	s.free, s.size, s.diskErr = diskFree(n.cfg.Home)
	s.models = n.askUpstream(ctx)
	return s, nil
}

// findings judges the symptoms, from the node itself outwards.
func (s symptoms) findings() findings {
	var f findings
	s.identity(&f)
	s.federation(&f)
	s.ports(&f)
	s.reach(&f)
	s.discovery(&f)
	s.company(&f)
	s.clock(&f)
	s.disk(&f)
	s.models.findings(&f)
	s.version(&f)
	for _, a := range s.status.Alarms {
		f.problem("alarm", cure{}, "%s", a)
	}
	return f
}

func (s symptoms) identity(f *findings) {
	if s.keyMode&0o077 != 0 {
		f.problem("identity", cure{"take the permission away", "chmod 600 " + s.keyFile},
			"the key %s can be read by others (mode %04o)", s.keyFile, s.keyMode)
		return
	}
	f.ok("identity", "%s · %s", s.status.Name, s.status.PeerID)
}

func (s symptoms) federation(f *findings) {
	st := s.status
	switch {
	case st.Genesis == "":
		f.warn("genesis", cure{"name a platform of it with --bootstrap, or its genesis with --genesis", "sage-p2p up --bootstrap ADDR"},
			"no federation yet: it waits for %s", st.Waiting)
		return
	case st.Syncing:
		f.warn("chain", cure{"wait; see the height grow", "sage-p2p status"}, "height %d: it waits for %s", st.Height, st.Waiting)
	default:
		f.ok("chain", "height %d, final %s ago", st.Height, since(s.now, int64(st.FinalTimeMS)))
	}
	f.ok("genesis", "%q, %s", st.Network, st.Genesis)
	if s.noWork {
		f.warn("work", cure{"start it without --no-work", ""}, "it accepts no tasks")
	}
}

// since is how long ago an instant was, in its largest unit.
func since(now time.Time, ms int64) string {
	switch d := max(0, now.Sub(time.UnixMilli(ms))); {
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	default:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
}

func (s symptoms) ports(f *findings) {
	var texts []string
	outside := false
	for _, a := range s.addrs {
		transport, _ := peer.SplitAddr(a)
		if transport == nil {
			continue
		}
		texts = append(texts, transport.String())
		outside = outside || !manet.IsIPLoopback(transport)
	}
	switch {
	case len(texts) == 0:
		f.problem("ports", cure{"listen somewhere", "sage-p2p up --listen /ip4/0.0.0.0/tcp/7422"}, "it listens nowhere, and only dials others")
	case !outside:
		f.warn("ports", cure{"listen on all addresses, if others are to reach it", "sage-p2p up --listen /ip4/0.0.0.0/tcp/7422"},
			"it listens on this machine only: %s", brief(texts))
	case s.moved:
		f.warn("ports", cure{"stop what has the port, or choose one that a firewall lets in", "ss -lntup sport = :7422"},
			"port %d was taken at the start; it listens on %s", defaultPort, brief(texts))
	default:
		f.ok("ports", "it listens on %s", brief(texts))
	}
}

// brief lists a few texts.
func brief(texts []string) string {
	if more := len(texts) - 4; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(texts[:4], ", "), more)
	}
	return strings.Join(texts, ", ")
}

// Offsets of the clock, in ms: beyond the second this platform does not propose.
const (
	clockLoud = 1_000
	clockFar  = 2_000
)

func (s symptoms) clock(f *findings) {
	off := s.status.ClockOffsetMS
	set := cure{"have it set from the network", "timedatectl set-ntp true"}
	switch ahead := max(off, -off); {
	case len(s.peers) == 0:
		f.ok("clock", "nobody to compare it with")
	case ahead > clockFar:
		f.problem("clock", set, "it is %d ms off from the others': beyond %d ms this platform does not propose blocks", off, clockFar)
	case ahead > clockLoud:
		f.warn("clock", set, "it is %d ms off from the others'", off)
	default:
		f.ok("clock", "%d ms off from the others'", off)
	}
}

// Bytes of the disk that are little, and too little.
const (
	diskLow   = 5 << 30
	diskEmpty = 512 << 20
)

func (s symptoms) disk(f *findings) {
	room := cure{"make room, or move the home", "df -h " + filepath.Dir(s.keyFile)}
	switch gib := fmt.Sprintf("%.1f GiB of %.1f GiB free", float64(s.free)/(1<<30), float64(s.size)/(1<<30)); {
	case s.diskErr != nil:
		f.warn("disk", cure{}, "the system does not say how much is free: %v", s.diskErr)
	case s.free < diskEmpty:
		f.problem("disk", room, "%s: a node that cannot write stops", gib)
	case s.free < diskLow:
		f.warn("disk", room, "%s", gib)
	default:
		f.ok("disk", "%s", gib)
	}
}

// version compares the software with that of the peers.
func (s symptoms) version(f *findings) {
	ours, others := "sage-p2p/"+s.status.Version, map[string]int{}
	for _, p := range s.peers {
		if p.Agent != ours {
			others[p.Agent]++
		}
	}
	if len(others) == 0 {
		f.ok("version", "%s", s.status.Version)
		return
	}
	most, count := "", 0
	for agent, n := range others {
		if n > count || n == count && agent < most {
			most, count = agent, n
		}
	}
	f.warn("version", cure{"run the same version everywhere", "sage-p2p version"}, "it is %s, and of %d peers %d run %.40q", s.status.Version, len(s.peers), count, most)
}
