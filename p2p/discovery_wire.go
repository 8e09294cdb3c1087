package p2p

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"golang.org/x/net/dns/dnsmessage"
)

const (
	dnsaddrPrefix = "dnsaddr="
	cacheFlush    = 1 << 15           // in a record's class: it replaces what was said before (RFC 6762, 10.2)
	announceTTL   = 120 * time.Second // for all records, as RFC 6762, 10 has it for addresses
	maxService    = 40                // bytes of a network's name that stand for themselves
	maxTexts      = 16                // addresses read of one message
	mdnsPort      = 5353
)

// serviceName is the DNS name under which the platforms of a network are found.
// A network's name that is no DNS label is hashed: hello compares the names.
func serviceName(network string) string {
	plain := len(network) <= maxService && strings.Trim(network, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
	if !plain {
		sum := sha256.Sum256([]byte(network))
		network = "x-" + hex.EncodeToString(sum[:16])
	}
	return servicePrefix + network + serviceSuffix
}

const (
	servicePrefix = "_sage-"
	serviceSuffix = "._udp.local."
)

// platformOf reads a name INSTANCE._sage-NETWORK._udp.local. of any network; for
// every other name, network is empty.
func platformOf(n dnsmessage.Name) (instance, network string) {
	instance, service, _ := strings.Cut(strings.ToLower(n.String()), ".")
	service, prefixed := strings.CutPrefix(service, servicePrefix)
	network, suffixed := strings.CutSuffix(service, serviceSuffix)
	if instance == "" || !prefixed || !suffixed || strings.Trim(network, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return "", ""
	}
	return instance, network
}

// announcement is what a platform says of itself on one interface.
type announcement struct {
	service  string
	instance string                // a label, drawn at the start of the process
	addrs    []multiaddr.Multiaddr // with /p2p/ID
	facts    []string              // key=value
	ip       netip.Addr            // nobody needs it, but DNS-SD wants a host with an address
}

// encode writes an unsolicited response with the records of libp2p's
// discovery/mdns: PTR and SRV that lead to the TXT, which has the addresses; and
// the PTR by which the service is listed. With a ttl of zero it says goodbye.
func (a announcement) encode(ttl time.Duration) ([]byte, error) {
	service, err := dnsmessage.NewName(a.service)
	if err != nil {
		return nil, err
	}
	instance, err := dnsmessage.NewName(a.instance + "." + a.service)
	if err != nil {
		return nil, err
	}
	meta, err := dnsmessage.NewName(metaService)
	if err != nil {
		return nil, err
	}
	host, err := dnsmessage.NewName(a.instance + ".local.")
	if err != nil {
		return nil, err
	}
	header := func(n dnsmessage.Name, flush dnsmessage.Class) dnsmessage.ResourceHeader {
		return dnsmessage.ResourceHeader{Name: n, Class: dnsmessage.ClassINET | flush, TTL: uint32(ttl / time.Second)}
	}
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{Response: true, Authoritative: true})
	b.EnableCompression()
	texts := make([]string, len(a.addrs), len(a.addrs)+len(a.facts))
	for i, addr := range a.addrs {
		texts[i] = dnsaddrPrefix + addr.String()
	}
	texts = append(texts, a.facts...)
	steps := []func() error{
		b.StartAnswers,
		func() error { return b.PTRResource(header(service, 0), dnsmessage.PTRResource{PTR: instance}) },
		func() error { return b.TXTResource(header(instance, cacheFlush), dnsmessage.TXTResource{TXT: texts}) },
		func() error {
			return b.SRVResource(header(instance, cacheFlush), dnsmessage.SRVResource{Port: mdnsPort, Target: host})
		},
		func() error {
			if a.ip.Is4() {
				return b.AResource(header(host, cacheFlush), dnsmessage.AResource{A: a.ip.As4()})
			}
			return b.AAAAResource(header(host, cacheFlush), dnsmessage.AAAAResource{AAAA: a.ip.As16()})
		},
	}
	if ttl > 0 { // another platform of this network may stay
		steps = append(steps, func() error { return b.PTRResource(header(meta, 0), dnsmessage.PTRResource{PTR: service}) })
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return b.Finish()
}

// encodeQuery asks who else is there. It lists the asker, if it is a platform, as
// an answer already known, so that the asker need not answer itself.
func encodeQuery(serviceText, instance string) ([]byte, error) {
	service, err := dnsmessage.NewName(serviceText)
	if err != nil {
		return nil, err
	}
	m := dnsmessage.Message{
		Questions: []dnsmessage.Question{{Name: service, Type: dnsmessage.TypePTR, Class: dnsmessage.ClassINET}},
	}
	if instance == "" {
		return m.Pack()
	}
	self, err := dnsmessage.NewName(instance + "." + serviceText)
	if err != nil {
		return nil, err
	}
	m.Answers = []dnsmessage.Resource{{
		Header: dnsmessage.ResourceHeader{Name: service, Class: dnsmessage.ClassINET, TTL: uint32(announceTTL / time.Second)},
		Body:   &dnsmessage.PTRResource{PTR: self},
	}}
	return m.Pack()
}

// overheard is what a received message says of our service and its like; the zero
// value, nothing.
type overheard struct {
	asks     bool   // who is there?
	lists    bool   // which services are there?
	tells    bool   // a platform of our network is
	network  string // of the platform that tells, ours or not; empty when none does
	instance string // which platform tells; when asking, the first of those known to it
	peer     peer.AddrInfo
	facts    map[string]string
	ttl      time.Duration // zero: goodbye
}

// decodeMDNS reads a message. Its errors wrap ErrMalformed.
func decodeMDNS(service string, b []byte) (o overheard, err error) {
	var p dnsmessage.Parser
	h, err := p.Start(b)
	if err == nil && h.Response {
		o, err = decodeAnnouncement(service, &p)
	} else if err == nil {
		o, err = decodeQuery(service, &p)
	}
	if err != nil {
		return overheard{}, fmt.Errorf("%w: mdns: %w", ErrMalformed, err)
	}
	return o, nil
}

func decodeQuery(service string, p *dnsmessage.Parser) (o overheard, err error) {
	questions, err := p.AllQuestions()
	if err != nil {
		return o, err
	}
	for _, q := range questions {
		whole := q.Type == dnsmessage.TypePTR || q.Type == dnsmessage.TypeALL
		o.asks = o.asks || whole && isService(q.Name, service)
		o.lists = o.lists || whole && isService(q.Name, metaService)
	}
	if !o.asks {
		return o, nil
	}
	for {
		h, err := p.AnswerHeader()
		if err == dnsmessage.ErrSectionDone {
			return o, nil
		} else if err != nil {
			return o, err
		}
		if h.Type != dnsmessage.TypePTR || !isService(h.Name, service) {
			if err := p.SkipAnswer(); err != nil {
				return o, err
			}
			continue
		}
		known, err := p.PTRResource()
		if err != nil {
			return o, err
		}
		if o.instance == "" {
			o.instance, _ = instanceOf(known.PTR, service)
		}
	}
}

// decodeAnnouncement looks for the TXT record of one platform, in any section.
func decodeAnnouncement(service string, p *dnsmessage.Parser) (o overheard, err error) {
	if err := p.SkipAllQuestions(); err != nil {
		return o, err
	}
	var texts []string
	for _, next := range []func() (dnsmessage.ResourceHeader, func() error, error){
		func() (dnsmessage.ResourceHeader, func() error, error) {
			h, err := p.AnswerHeader()
			return h, p.SkipAnswer, err
		},
		func() (dnsmessage.ResourceHeader, func() error, error) {
			h, err := p.AuthorityHeader()
			return h, p.SkipAuthority, err
		},
		func() (dnsmessage.ResourceHeader, func() error, error) {
			h, err := p.AdditionalHeader()
			return h, p.SkipAdditional, err
		},
	} {
		for {
			h, skip, err := next()
			if err == dnsmessage.ErrSectionDone {
				break
			} else if err != nil {
				return o, err
			}
			instance, network := platformOf(h.Name)
			if h.Type != dnsmessage.TypeTXT || network == "" {
				if err := skip(); err != nil {
					return o, err
				}
				continue
			}
			if o.network != "" && (o.instance != instance || o.network != network) {
				return o, fmt.Errorf("two platforms in one message")
			}
			txt, err := p.TXTResource()
			if err != nil {
				return o, err
			}
			o.network, o.instance, o.ttl = network, instance, time.Duration(h.TTL)*time.Second
			texts = append(texts, txt.TXT...)
		}
	}
	if o.network != "" {
		o.tells = strings.EqualFold(servicePrefix+o.network+serviceSuffix, service)
		o.facts = factsOf(texts)
		o.peer, err = peerOf(texts)
	}
	return o, err
}

// factsOf reads the facts of one peer; what is none is skipped, as in peerOf.
func factsOf(texts []string) map[string]string {
	var facts map[string]string
	for _, t := range texts {
		if key, value, ok := factOf(t); ok && len(facts) < maxFacts {
			if facts == nil {
				facts = map[string]string{}
			}
			facts[key] = value
		}
	}
	return facts
}

// peerOf reads the addresses of one peer. What is no address is skipped: there
// may be kinds that this release does not know.
func peerOf(texts []string) (peer.AddrInfo, error) {
	var addrs []multiaddr.Multiaddr
	for _, t := range texts {
		text, ok := strings.CutPrefix(t, dnsaddrPrefix)
		if !ok || len(addrs) == maxTexts {
			continue
		}
		if a, err := multiaddr.NewMultiaddr(text); err == nil {
			addrs = append(addrs, a)
		}
	}
	infos, err := peer.AddrInfosFromP2pAddrs(addrs...)
	switch {
	case err != nil:
		return peer.AddrInfo{}, err
	case len(infos) != 1:
		return peer.AddrInfo{}, fmt.Errorf("have addresses of %d peers, want one", len(infos))
	}
	return infos[0], infos[0].ID.Validate()
}

func isService(n dnsmessage.Name, service string) bool { return strings.EqualFold(n.String(), service) }

// instanceOf returns the label before the service's name.
func instanceOf(n dnsmessage.Name, service string) (string, bool) {
	name := n.String()
	cut := len(name) - len(service) - 1
	if cut < 1 || name[cut] != '.' || !strings.EqualFold(name[cut+1:], service) {
		return "", false
	}
	return name[:cut], true
}
