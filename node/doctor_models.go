package node

import (
	"context"
	"strings"
	"time"

	"github.com/sage-p2p/sage-p2p/task/exec"
)

// upstreamHealth is what the server of language models says when it is asked.
type upstreamHealth struct {
	url     string   // empty: there is none
	models  []string // that this platform offers
	missing []string // of them, as the server calls them, those that it does not list
	err     error    // it does not answer
}

// upstreamPatience is how long a look at the server may take.
const upstreamPatience = 5 * time.Second

// examineModels asks the server that is configured, while no node runs.
func examineModels(f *findings, cfg Config) {
	named, configured := cfg.Upstream()
	if !configured {
		return
	}
	upstream, err := exec.NewUpstream(named)
	if err != nil {
		f.problem("models", cure{"correct the settings that begin with openai_", "sage-p2p config show"}, "%s", strings.TrimPrefix(err.Error(), "exec: "))
		return
	}
	defer upstream.Close()
	var models []string
	for _, rt := range upstream.Runtimes() {
		models = append(models, rt.Name())
	}
	healthOf(context.Background(), upstream, models).findings(f)
}

// askUpstream asks the server whose models this node has.
func (n *Node) askUpstream(ctx context.Context) upstreamHealth {
	for _, name := range n.modelsHere() {
		rt, err := n.runtimes.Runtime(name)
		if model, ok := rt.(*exec.Model); err == nil && ok {
			return healthOf(ctx, model.Upstream(), n.modelsHere())
		}
	}
	return upstreamHealth{}
}

func healthOf(ctx context.Context, u *exec.Upstream, models []string) upstreamHealth {
	ctx, cancel := context.WithTimeout(ctx, upstreamPatience)
	defer cancel()
	h := upstreamHealth{url: u.URL(), models: models}
	h.missing, h.err = u.Missing(ctx)
	return h
}

func (h upstreamHealth) findings(f *findings) {
	switch names := brief(h.models); {
	case h.url == "":
	case h.err != nil:
		f.problem("models", cure{"start it, or correct openai_url", "sage-p2p config show"},
			"the server of %s at %s does not answer: %s", names, h.url, hostReason(h.err))
	case len(h.missing) > 0:
		f.warn("models", cure{"load them there, or correct openai_models", "sage-p2p config show"},
			"the server at %s answers, and does not list %s", h.url, brief(h.missing))
	default:
		f.ok("models", "%s, at %s", names, h.url)
	}
}

// hostReason says what failed, without saying that it was this machine.
func hostReason(err error) string {
	return strings.TrimPrefix(strings.TrimPrefix(reasonOf(err), exec.ErrHost.Error()+": "), "exec: ")
}
