package node

import (
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/replica"
	"github.com/sage-p2p/sage-p2p/task"
)

// metrics counts what a node does. What can be read off when it is asked for is
// not kept here: see gauges. The registry is the node's own.
type metrics struct {
	registry *prometheus.Registry

	took    prometheus.Histogram // from submission to final, of transactions made here
	views   prometheus.Counter
	blocks  prometheus.Counter
	txs     *prometheus.CounterVec // by result
	settled *prometheus.CounterVec // by outcome

	mu    sync.Mutex
	tasks map[task.Stage]int // guarded by mu: open tasks of the state
}

func newMetrics(n *Node) *metrics {
	counter := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "sage", Name: name, Help: help}
	}
	m := &metrics{
		registry: prometheus.NewRegistry(),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "sage", Name: "final_latency_seconds",
			Help:    "Time from submission to final of the transactions made on this platform.",
			Buckets: []float64{.002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30, 60},
		}),
		views:   prometheus.NewCounter(counter("view_changes_total", "Views that ended without a final block.")),
		blocks:  prometheus.NewCounter(counter("blocks_total", "Blocks that became final here, those that were fetched included.")),
		txs:     prometheus.NewCounterVec(counter("transactions_total", "Transactions in those blocks, by what became of them."), []string{"result"}),
		settled: prometheus.NewCounterVec(counter("tasks_settled_total", "Tasks that those blocks settled, by outcome."), []string{"outcome"}),
		tasks:   map[task.Stage]int{},
	}
	for _, result := range []string{"done", "refused"} {
		m.txs.WithLabelValues(result)
	}
	for _, outcome := range []task.Outcome{task.Commit, task.Rollback, task.Void} {
		m.settled.WithLabelValues(string(outcome))
	}
	m.registry.MustRegister(m.took, m.views, m.blocks, m.txs, m.settled, newGauges(n),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// scrapes is how many readers of the metrics are served at once.
const scrapes = 2

// handler serves the metrics.
func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: scrapes, ErrorHandling: promhttp.ContinueOnError})
}

// begin counts the open tasks of the state that the node starts from.
func (m *metrics) begin(s chain.State) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.tasks)
	return s.EachTask(func(t task.Task) error {
		m.tasks[t.Stage]++
		return nil
	})
}

// final counts what a block did.
func (m *metrics) final(f replica.Final) {
	m.blocks.Inc()
	for i, r := range f.Result.Receipts {
		switch {
		case i >= len(f.Block.Txs): // a deadline's doing
		case r.OK():
			m.txs.WithLabelValues("done").Inc()
		default:
			m.txs.WithLabelValues("refused").Inc()
		}
		for _, e := range r.Events {
			switch fact := e.Fact.(type) {
			case *task.Moved:
				m.moved(fact.From, fact.To)
			case *task.Paid:
				m.settled.WithLabelValues(string(fact.Outcome)).Inc()
			}
		}
	}
}

// moved counts one step of a task.
func (m *metrics) moved(from, to task.Stage) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if from != "" {
		m.tasks[from]--
	}
	if to != task.Settled {
		m.tasks[to]++
	}
}

// open returns how many tasks are at a stage.
func (m *metrics) open(s task.Stage) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tasks[s]
}

// progressed counts the views that ended between two looks at the replica.
func (m *metrics) progressed(before, now replica.Progress) {
	ended := int64(now.View)
	if now.Height == before.Height {
		ended -= int64(before.View)
	}
	m.views.Add(float64(max(0, ended)))
}

// finalAfter notes how many ms a transaction made here took to become final.
func (m *metrics) finalAfter(ms uint64) { m.took.Observe(float64(ms) / 1000) }
