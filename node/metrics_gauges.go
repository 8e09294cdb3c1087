package node

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/p2p"
	"github.com/sage-p2p/sage-p2p/task"
)

// gauges reads off a node what it is asked for, at the moment of the question.
type gauges struct {
	n    *Node
	desc map[string]*prometheus.Desc
}

// measure is a value that is read off: of a name, perhaps with a label.
type measure struct {
	name  string
	kind  prometheus.ValueType
	value float64
	label string // value of the name's label, if it has one
}

// described are the names of what is read off, with their label and help.
var described = [...][3]string{
	{"build_info", "version", "Always 1; the label tells the version."},
	{"height", "", "Height of the newest final block."},
	{"validator", "", "1 if this platform has a vote."},
	{"validators", "", "Members of the set that decides the next height."},
	{"syncing", "", "1 while this platform catches up with others."},
	{"alarms", "", "Alarms that an operator has to hear."},
	{"mempool_transactions", "", "Transactions that wait for a block."},
	{"mempool_bytes", "", "Bytes of the transactions that wait for a block."},
	{"peers", "path", "Connected platforms, by the path to them."},
	{"tasks", "state", "Open tasks of the federation, by state."},
	{"balance_atp", "kind", "ATP of this platform's account."},
	{"clock_offset_seconds", "", "What the median of the peers' clocks is ahead of this one."},
	{"disk_free_bytes", "", "Bytes that the file system of the home has left."},
	{"disk_size_bytes", "", "Bytes of the file system of the home."},
	{"syncs_total", "file", "Times that something was made durable: in the store, or in the signer's record."},
	{"frames_received_total", "", "Consensus frames received."},
	{"frames_sent_total", "", "Consensus frames sent."},
	{"frames_received_bytes_total", "", "Bytes of consensus frames received."},
	{"frames_sent_bytes_total", "", "Bytes of consensus frames sent."},
	{"frames_replaced_total", "", "Frames that a newer one, or a full outbox, replaced before they were sent."},
	{"frames_rejected_total", "", "Frames that no correct platform sends."},
	{"fetches_total", "what", "Requests for blocks and the like: served to others, made to others, failed."},
	{"task_streams_total", "", "Streams on which the content of tasks was asked for."},
	{"gossip_messages_total", "what", "Gossiped messages: sent, or received and judged."},
	{"peer_offences_total", "", "Things that peers did and no correct platform does."},
	{"peer_bans_total", "", "Peers shut out for a while."},
	{"peers_refused_total", "", "Peers turned away when they introduced themselves."},
	{"dials_total", "", "Attempts to connect."},
	{"dial_failures_total", "", "Attempts to connect that failed."},
}

func newGauges(n *Node) *gauges {
	g := &gauges{n: n, desc: map[string]*prometheus.Desc{}}
	for _, d := range described {
		var labels []string
		if d[1] != "" {
			labels = []string{d[1]}
		}
		g.desc[d[0]] = prometheus.NewDesc("sage_"+d[0], d[2], labels, nil)
	}
	return g
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(to chan<- *prometheus.Desc) {
	for _, d := range described {
		to <- g.desc[d[0]]
	}
}

// Collect implements prometheus.Collector.
func (g *gauges) Collect(to chan<- prometheus.Metric) {
	if !g.n.Open() {
		return // there is nothing to read off yet
	}
	for _, m := range g.n.measures() {
		var labels []string
		if m.label != "" {
			labels = []string{m.label}
		}
		to <- prometheus.MustNewConstMetric(g.desc[m.name], m.kind, m.value, labels...)
	}
}

// measures reads everything off. What cannot be read is left out.
func (n *Node) measures() []measure {
	st, err := n.Status(context.Background())
	if err != nil {
		n.log.Warn("metrics not read", "err", err)
		return nil
	}
	paths := map[string]int{}
	for _, p := range n.host.Peers() {
		paths[p.Path.String()]++
	}
	list := []measure{
		gauge("build_info", 1, Version),
		gauge("height", float64(st.Height), ""),
		gauge("validator", oneIf(st.Validator), ""),
		gauge("validators", float64(st.Validators), ""),
		gauge("syncing", oneIf(st.Syncing), ""),
		gauge("alarms", float64(len(st.Alarms)), ""),
		gauge("mempool_transactions", float64(st.Mempool), ""),
		gauge("clock_offset_seconds", float64(st.ClockOffsetMS)/1000, ""),
		gauge("peers", float64(paths["direct"]), "direct"),
		gauge("peers", float64(paths["relayed"]), "relayed"),
		gauge("balance_atp", inATP(st.BalanceUATP), "available"),
		gauge("balance_atp", inATP(st.LockedUATP), "locked"),
		gauge("balance_atp", inATP(st.BondedUATP), "bonded"),
	}
	if r := n.chain.Load(); r != nil {
		list = append(list, gauge("mempool_bytes", float64(r.progress.Load().Bytes), ""))
		for _, s := range []task.Stage{task.Posted, task.Accepted, task.Proven} {
			list = append(list, gauge("tasks", float64(n.metrics.open(s)), string(viewStage(s))))
		}
		witnessing := 0
		for _, s := range []task.Stage{task.Drawing, task.Committing, task.Revealing, task.Decided} {
			witnessing += n.metrics.open(s)
		}
		list = append(list, gauge("tasks", float64(witnessing), string(view.TaskWitnessing)))
	}
	if free, size, err := diskFree(n.cfg.Home); err == nil {
		list = append(list, gauge("disk_free_bytes", float64(free), ""), gauge("disk_size_bytes", float64(size), ""))
	}
	c := n.Counters()
	list = append(list, count("syncs_total", c.StoreSyncs, "store"), count("syncs_total", c.SignerSyncs, "signer"))
	return append(list, traffic(c.Network)...)
}

// traffic is what the host has counted.
func traffic(c p2p.Counters) []measure {
	return []measure{
		count("frames_received_total", c.FramesIn, ""),
		count("frames_sent_total", c.FramesOut, ""),
		count("frames_received_bytes_total", c.FrameBytesIn, ""),
		count("frames_sent_bytes_total", c.FrameBytesOut, ""),
		count("frames_replaced_total", c.FramesReplaced, ""),
		count("frames_rejected_total", c.FramesRejected, ""),
		count("fetches_total", c.FetchesServed, "served"),
		count("fetches_total", c.FetchesMade, "made"),
		count("fetches_total", c.FetchesFailed, "failed"),
		count("task_streams_total", c.TaskStreams, ""),
		count("gossip_messages_total", c.GossipOut, "sent"),
		count("gossip_messages_total", c.GossipAccepted, "accepted"),
		count("gossip_messages_total", c.GossipIgnored, "ignored"),
		count("gossip_messages_total", c.GossipRejected, "rejected"),
		count("gossip_messages_total", c.GossipDropped, "dropped"),
		count("peer_offences_total", c.Offences, ""),
		count("peer_bans_total", c.Bans, ""),
		count("peers_refused_total", c.Refused, ""),
		count("dials_total", c.Dials, ""),
		count("dial_failures_total", c.DialsFailed, ""),
	}
}

func gauge(name string, value float64, label string) measure {
	return measure{name, prometheus.GaugeValue, value, label}
}

func count(name string, value uint64, label string) measure {
	return measure{name, prometheus.CounterValue, float64(value), label}
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func inATP(a view.Amount) float64 { return float64(a) / float64(atp.ATP) }
