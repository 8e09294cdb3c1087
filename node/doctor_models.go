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

// askUpstream asks the server for its models.
func (n *Node) askUpstream(ctx context.Context) upstreamHealth {
	ctx, cancel := context.WithTimeout(ctx, upstreamPatience)
	defer cancel()
	for _, name := range n.modelsHere() {
		rt, err := n.runtimes.Runtime(name)
		if model, ok := rt.(*exec.Model); err == nil && ok {
			h := upstreamHealth{url: model.Upstream().URL(), models: n.modelsHere()}
			h.missing, h.err = model.Upstream().Missing(ctx)
			return h
		}
	}
	return upstreamHealth{}
}

func (h upstreamHealth) findings(f *findings) {
	switch names := brief(h.models); {
	case h.url == "":
	case h.err != nil:
		f.problem("models", cure{"start it, or correct openai_url", "sage-p2p config show"},
			"the server of %s at %s does not answer: %s", names, h.url, strings.TrimPrefix(h.err.Error(), "exec: "))
	case len(h.missing) > 0:
		f.warn("models", cure{"load them there, or correct openai_models", "sage-p2p config show"},
			"the server at %s answers, and does not list %s", h.url, brief(h.missing))
	default:
		f.ok("models", "%s, at %s", names, h.url)
	}
}
