package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

func (p program) status() *cli.Command {
	return &cli.Command{
		Name:  "status",
		Usage: "the node's health in one screen",
		Action: p.speaks(0, 0, func(s *session) error {
			st, err := s.node.Status(s.Context.Context)
			if err != nil {
				return err
			}
			return s.show(st, func(w io.Writer) { p.printStatus(w, st) })
		}),
	}
}

func (p program) printStatus(w io.Writer, st view.Status) {
	role := "observer of"
	switch {
	case st.Mode == view.ModeForming:
		role = "forming"
	case st.Validator:
		role = "validator of"
	}
	fmt.Fprintf(w, "%s · %s · %s %q\n", clean(st.Name), short(st.PeerID.String()), role, clean(st.Network))
	doing := ""
	switch {
	case st.Waiting != "":
		doing = clean(st.Waiting)
	case st.Syncing:
		doing = "catching up with the federation"
	}
	genesis, height, votes, note := "none yet", "", "", ""
	if st.Genesis != "" {
		genesis = fmt.Sprintf("%s (founder %s)", short(st.Genesis), who(st.FounderName, st.Founder))
		height = fmt.Sprintf("%d · final %s · block %s", st.Height, p.ago(st.FinalTimeMS), short(st.Block.String()))
		votes = fmt.Sprintf("%s, %s", plural(st.Validators, "validator", "validators"), plural(st.Quorum, "decides", "decide"))
		if st.OnlyValidator != "" {
			note = fmt.Sprintf("if %s is off, nothing becomes final", clean(st.OnlyValidator))
		}
	}
	facts(w,
		[2]string{"waiting", doing},
		[2]string{"genesis", genesis},
		[2]string{"height", height},
		[2]string{"mode", modeText(st.Mode)},
		[2]string{"votes", votes},
		[2]string{"note", note},
		[2]string{"peers", plural(st.Peers, "connection", "connections")},
		[2]string{"reach", reachText(st)},
		[2]string{"balance", fmt.Sprintf("%s available · %s locked · %s bonded", st.BalanceUATP, st.LockedUATP, coins(st.BondedUATP))},
		[2]string{"mempool", plural(st.Mempool, "transaction", "transactions")},
		[2]string{"clock", offset(st.Peers, st.ClockOffsetMS)},
		[2]string{"version", fmt.Sprintf("%s · process %d", clean(st.Version), st.PID)},
	)
	if len(st.Listen) > 0 {
		printReached(w, st.Listen)
	}
	for _, a := range st.Alarms {
		p.printAlarm(w, a)
	}
}

// printAlarm writes what the operator must hear: on a screen in lines of its
// width, else in one, for whoever searches it.
func (p program) printAlarm(w io.Writer, text string) {
	const lead = "ALARM: "
	lines := []string{clean(text)}
	if p.screen {
		lines = wrap(lines[0], helpWidth-len(lead))
	}
	for i, line := range lines {
		if i == 0 {
			fmt.Fprintln(w, lead+line)
		} else {
			fmt.Fprintln(w, strings.Repeat(" ", len(lead))+line)
		}
	}
}

// printReached writes at which addresses a platform is reached, last those that
// mean something on its own machine alone.
func printReached(w io.Writer, addrs []string) {
	fmt.Fprintln(w, "others reach it with --bootstrap")
	for _, local := range []bool{false, true} {
		for _, a := range addrs {
			if local == (strings.HasPrefix(a, "/ip4/127.") || strings.HasPrefix(a, "/ip6/::1/")) {
				fmt.Fprintf(w, "  %s\n", clean(a))
			}
		}
	}
}

// modeText says what the federation's size lets it promise.
func modeText(m view.Mode) string {
	switch m {
	case view.ModeForming:
		return "forming: there is no federation yet"
	case view.ModeSolo:
		return "solo: one platform, which nobody checks"
	case view.ModeTrusted:
		return "trusted: two or three platforms, too few to judge a dispute"
	case view.ModeVoid:
		return "four platforms: one may lie, and a dispute may end undecided"
	case view.ModeFull:
		return "full: enough platforms to decide a dispute"
	}
	return clean(string(m))
}

// offset says what the clock of this machine is against the others'.
func offset(peers int, ms int64) string {
	switch {
	case peers == 0:
		return "nobody to compare it with"
	case ms < 0:
		return fmt.Sprintf("%d ms behind the others", -ms)
	case ms > 0:
		return fmt.Sprintf("%d ms ahead of the others", ms)
	default:
		return "with the others"
	}
}

func (p program) peers() *cli.Command {
	return &cli.Command{
		Name:  "peers",
		Usage: "connections with their paths and round trips",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "why", Usage: "who is not connected, or was turned away, and why"}},
		Action: p.speaks(0, 0, func(s *session) error {
			if s.Bool("why") {
				why, err := s.node.PeersWhy(s.Context.Context)
				if err != nil {
					return err
				}
				return s.show(why, func(w io.Writer) { p.printPeersWhy(w, why) })
			}
			peers, err := s.node.Peers(s.Context.Context)
			if err != nil {
				return err
			}
			return s.show(view.Peers{Peers: peers}, func(w io.Writer) {
				defer printDetours(w, peers)
				table(w, "NAME|ID|PATH|ROUND TRIP|HEIGHT|ADDRESS", func(row func(...any)) {
					for _, peer := range peers {
						trip, height := "–", "–"
						if peer.Height > 0 {
							height = fmt.Sprint(peer.Height)
						}
						if peer.RoundTripUS > 0 {
							trip = fmt.Sprintf("%d.%d ms", peer.RoundTripUS/1000, peer.RoundTripUS%1000/100)
						}
						row(who(peer.Name, ""), short(peer.PeerID.String()), clean(peer.Path), trip, height, clean(peer.Address))
					}
				})
			})
		}),
	}
}

// printDetours says why peers are not reached directly.
func printDetours(w io.Writer, peers []view.Peer) {
	named := names{}
	for _, peer := range peers {
		named[peer.PeerID] = peer.Name
	}
	for _, peer := range peers {
		switch name := who(peer.Name, peer.PeerID); {
		case peer.Via != "":
			fmt.Fprintf(w, "%s: through %s; %s\n", name, who(named[peer.Via], peer.Via), clean(peer.Why))
		case peer.Path != "direct":
			fmt.Fprintf(w, "%s: %s\n", name, clean(peer.Why))
		}
	}
}

// reachText says how others reach the node from the internet, if that is known.
func reachText(st view.Status) string {
	switch {
	case st.Public:
		return "public: it relays for the federation"
	case len(st.Relays) > 0:
		return fmt.Sprintf("through %s, until a direct way is found", plural(len(st.Relays), "public platform", "public platforms"))
	}
	return ""
}

func (p program) validators() *cli.Command {
	return &cli.Command{
		Name:  "validators",
		Usage: "who has a vote, and who waits for one",
		Action: p.speaks(0, 0, func(s *session) error {
			set, err := s.node.Validators(s.Context.Context)
			if err != nil {
				return err
			}
			return s.show(set, func(w io.Writer) { printValidators(w, set) })
		}),
	}
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func (p program) platforms() *cli.Command {
	return &cli.Command{
		Name:  "platforms",
		Usage: "who offers what, at what price and standing",
		Action: p.speaks(0, 0, func(s *session) error {
			platforms, err := s.node.Platforms(s.Context.Context)
			if err != nil {
				return err
			}
			return s.show(view.Platforms{Platforms: platforms}, func(w io.Writer) {
				table(w, "NAME|ID|TYPE|PRICE|REPUTATION|RUNTIMES|STAKE|HERE", func(row func(...any)) {
					for _, pl := range platforms {
						name, id := who(pl.Name, ""), short(pl.PeerID.String())
						runtimes, here := clean(strings.Join(pl.Runtimes, " ")), yes(pl.Connected)
						stake := fmt.Sprint(pl.StakeUATP)
						if len(pl.Offers) == 0 {
							row(name, id, "–", "–", "–", runtimes, stake, here)
						}
						for _, o := range pl.Offers {
							row(name, id, clean(o.Type), o.LowUATP, standing(pl.Reputation, o.Type), runtimes, stake, here)
							name, id, runtimes, stake, here = "", "", "", "", ""
						}
					}
				})
			})
		}),
	}
}

// standing is a platform's reputation as executor of a type.
func standing(all []view.Reputation, typ string) string {
	for _, r := range all {
		if r.Role == "executor" && r.Type == typ {
			return share(r.ReputationPPM)
		}
	}
	return "new"
}

func (p program) platform() *cli.Command {
	return &cli.Command{
		Name:  "platform",
		Usage: "register this platform, or show one",
		Subcommands: []*cli.Command{
			{
				Name:  "register",
				Usage: "say what this platform offers; what is left out stays as it is",
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "name", Usage: "`NAME` of the platform, 3-32 of a-z 0-9 -"},
					&cli.StringFlag{Name: "society", Usage: "`NAME` of the owner behind it"},
					&cli.StringSliceFlag{Name: "offer", Usage: "`TYPE=LOW/MEDIUM/HIGH/CRITICAL` in ATP, or one price for all four; may be repeated: those named are all"},
					&cli.StringSliceFlag{Name: "runtime", Usage: "`NAME` of a runtime of this node; may be repeated: those named are all"},
					&cli.StringFlag{Name: "horizon", Usage: "`REACH` of the widest tasks that it takes, such as regional/day/agent: " + reachesInWords()},
					waitFlag(submitPatience),
				},
				Action: p.speaks(0, 0, (*session).register),
			},
			{
				Name: "show", ArgsUsage: "P", Usage: "all about one platform",
				Action: p.speaks(1, 1, func(s *session) error {
					pl, err := s.node.Platform(s.Context.Context, s.Args().First())
					if err != nil {
						return err
					}
					return s.show(pl, func(w io.Writer) { printPlatform(w, pl) })
				}),
			},
		},
	}
}

func (s *session) register() error {
	r := view.Registration{Name: s.String("name"), Society: s.String("society"), Runtimes: s.StringSlice("runtime")}
	if text := s.String("horizon"); text != "" {
		h, err := parseHorizon(text)
		if err != nil {
			return err
		}
		r.Horizon = &h
	}
	for _, text := range s.StringSlice("offer") {
		o, err := parseOffer(text)
		if err != nil {
			return err
		}
		r.Offers = append(r.Offers, o)
	}
	sub, err := s.node.Register(s.Context.Context, r)
	if err != nil {
		return err
	}
	if err := s.finish(&sub); err != nil {
		return err
	}
	return s.show(sub, func(w io.Writer) {
		fmt.Fprint(w, "registered: ")
		outcome(w, sub.Tx)
	})
}

// parseOffer reads a type with one price, or with one for each complexity.
func parseOffer(text string) (view.Offer, error) {
	typ, list, ok := strings.Cut(text, "=")
	prices := strings.Split(list, "/")
	if !ok || typ == "" || len(prices) != 1 && len(prices) != 4 {
		return view.Offer{}, usagef("--offer %q: want TYPE=PRICE or TYPE=LOW/MEDIUM/HIGH/CRITICAL", text)
	}
	if len(prices) == 1 {
		prices = slices.Repeat(prices, 4)
	}
	o := view.Offer{Type: typ}
	for i, into := range []*view.Amount{&o.LowUATP, &o.MediumUATP, &o.HighUATP, &o.CriticalUATP} {
		a, err := amount(prices[i])
		if err != nil {
			return view.Offer{}, err
		}
		*into = a
	}
	return o, nil
}

// seatStakeOf says whether a platform can be drawn as a witness.
func seatStakeOf(pl view.Platform) string {
	if pl.StakeUATP == 0 {
		return ""
	}
	return "with a stake of " + coins(pl.StakeUATP)
}

func printPlatform(w io.Writer, pl view.Platform) {
	fmt.Fprintf(w, "%s · %s\n", who(pl.Name, ""), pl.PeerID)
	h, since := pl.Horizon, ""
	if pl.SinceMS > 0 {
		since = clock(pl.SinceMS)
	}
	facts(w,
		[2]string{"society", clean(pl.Society)},
		[2]string{"hardware", hardware(pl.Hardware)},
		[2]string{"horizon", clean(strings.Join([]string{h.Spatial, h.Temporal, h.Complexity}, ", "))},
		[2]string{"runtimes", clean(strings.Join(pl.Runtimes, ", "))},
		[2]string{"validator", yes(pl.Validator)},
		[2]string{"witness", seatStakeOf(pl)},
		[2]string{"since", since},
	)
	table(w, "OFFER|LOW|MEDIUM|HIGH|CRITICAL", func(row func(...any)) {
		for _, o := range pl.Offers {
			row(clean(o.Type), o.LowUATP, o.MediumUATP, o.HighUATP, o.CriticalUATP)
		}
	})
	printReputation(w, pl.Reputation)
}

// hardware is what a platform says that it runs on.
func hardware(h view.Hardware) string {
	var parts []string
	if h.Architecture != "" {
		parts = append(parts, clean(h.Architecture))
	}
	if h.RAMMiB > 0 {
		parts = append(parts, fmt.Sprintf("%d MiB", h.RAMMiB))
	}
	if h.AcceleratorCores > 0 {
		parts = append(parts, fmt.Sprintf("%d accelerator cores", h.AcceleratorCores))
	}
	if h.PowerMilliwatts > 0 {
		parts = append(parts, fmt.Sprintf("%d W", h.PowerMilliwatts/1000))
	}
	return strings.Join(parts, ", ")
}

func printReputation(w io.Writer, all []view.Reputation) {
	if len(all) == 0 {
		return
	}
	table(w, "ROLE|TYPE|REPUTATION|AT LEAST|GOOD|BAD", func(row func(...any)) {
		for _, r := range all {
			row(clean(r.Role), cmp.Or(clean(r.Type), "–"), share(r.ReputationPPM), share(r.LCBPPM), share(r.SuccessPPM), share(r.FailurePPM))
		}
	})
}
