package api

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// page reads limit= and cursor= of a request and returns that part of a list,
// which key tells apart and puts in order, with the cursor of the page after. A
// cursor is the key of the last item: what comes and goes between two pages
// neither repeats the others nor hides them.
func page[T any](q url.Values, list []T, key func(T) string) (part []T, next string, err error) {
	limit, err := limitOr(q, recent)
	if err != nil {
		return nil, "", err
	}
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b T) int { return cmp.Compare(key(a), key(b)) })
	if cursor := q.Get("cursor"); cursor != "" {
		list = slices.DeleteFunc(list, func(v T) bool { return key(v) <= cursor })
	}
	if len(list) <= limit {
		return list, "", nil
	}
	return list[:limit], key(list[limit-1]), nil
}

func (s *Server) getPeers(_ http.ResponseWriter, r *http.Request) (view.Peers, error) {
	peers, err := s.node.Peers(r.Context())
	if err != nil {
		return view.Peers{}, err
	}
	peers, next, err := page(r.URL.Query(), peers, func(p view.Peer) string { return p.PeerID.String() })
	return view.Peers{Peers: peers, Next: next}, err
}

func (s *Server) getPlatforms(_ http.ResponseWriter, r *http.Request) (view.Platforms, error) {
	platforms, err := s.node.Platforms(r.Context())
	if err != nil {
		return view.Platforms{}, err
	}
	platforms, next, err := page(r.URL.Query(), platforms, func(p view.Platform) string { return p.Name })
	return view.Platforms{Platforms: platforms, Next: next}, err
}

func (s *Server) getLocks(_ http.ResponseWriter, r *http.Request) (view.Locks, error) {
	locks, err := s.node.Locks(r.Context())
	if err != nil {
		return view.Locks{}, err
	}
	byDeadline := func(l view.Lock) string { return fmt.Sprintf("%020d.%s", l.DeadlineMS, l.ID) }
	locks, next, err := page(r.URL.Query(), locks, byDeadline)
	return view.Locks{Locks: locks, Next: next}, err
}
