package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"rollcall/internal/centralsim"
)

// side is on which side of an interaction with the outside something happens:
// when it arrives, before it is passed on; or when it was done, before its answer
// is passed back.
type side int

const (
	before side = iota
	after
)

func (s side) String() string {
	return [...]string{"before it was passed on", "after it was done"}[s]
}

// fate is what becomes of an interaction.
type fate int

const (
	pass    fate = iota
	swallow      // the process is gone: there is nobody to go on for
	cut          // half of it is passed, then the connection ends
)

// step is one interaction of a delete: the n-th of its label.
type step struct {
	label string
	nth   int
}

func (s step) String() string { return fmt.Sprintf("%s #%d", s.label, s.nth) }

// toRedis reports whether the step is one of the store's.
func (s step) toRedis() bool { return strings.HasPrefix(s.label, "redis ") }

// trap watches one device's interactions of one replica. It keeps their list, and
// springs at the one that is wanted.
type trap struct {
	mu     sync.Mutex
	armed  bool
	device string
	seen   map[string]int
	log    []step
	want   step
	side   side
	spring func() fate
	sprung chan struct{}
}

// arm sets the trap; what it returns is closed when the trap has sprung.
func (tr *trap) arm(device string, want step, at side, spring func() fate) <-chan struct{} {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.armed, tr.device, tr.want, tr.side, tr.spring = true, device, want, at, spring
	tr.seen, tr.log, tr.sprung = map[string]int{}, nil, make(chan struct{})
	return tr.sprung
}

// disarm ends the watch, unless the trap is springing, and returns what was seen.
func (tr *trap) disarm() (seen []step, sprung bool) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	sprung, tr.armed = !tr.armed, false
	return slices.Clone(tr.log), sprung
}

// foreign reports whether an interaction speaks of another device only.
func (tr *trap) foreign(raw string) bool {
	return strings.Contains(raw, crashIDs) && !strings.Contains(raw, tr.device)
}

// arrives is asked before an interaction is passed on.
func (tr *trap) arrives(label, raw string) (step, fate) {
	tr.mu.Lock()
	if !tr.armed || tr.foreign(raw) {
		tr.mu.Unlock()
		return step{}, pass
	}
	tr.seen[label]++
	s := step{label, tr.seen[label]}
	tr.log = append(tr.log, s)
	tr.mu.Unlock()
	return s, tr.springs(s, before)
}

// done is asked before an interaction's answer is passed back.
func (tr *trap) done(s step) fate { return tr.springs(s, after) }

// waits reports whether the trap will spring when s is done.
func (tr *trap) waits(s step) bool {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.armed && tr.want == s && tr.side == after
}

func (tr *trap) springs(s step, at side) fate {
	tr.mu.Lock()
	if !tr.armed || s.nth == 0 || tr.want != s || tr.side != at {
		tr.mu.Unlock()
		return pass
	}
	tr.armed = false
	spring, sprung := tr.spring, tr.sprung
	tr.mu.Unlock()
	f := spring()
	close(sprung)
	return f
}

// carryRedis takes a replica's connections to Redis, until the listener closes.
func (r *replica) carryRedis(ln net.Listener) {
	for {
		down, err := ln.Accept()
		if err != nil {
			return
		}
		go r.carry(down)
	}
}

// carry is one connection. A client of Redis waits for an answer before it asks
// again on it, so requests and answers take turns.
func (r *replica) carry(down net.Conn) {
	defer func() { _ = down.Close() }()
	up, err := net.Dial("unix", r.crash.store.socket())
	if err != nil {
		return
	}
	defer func() { _ = up.Close() }()
	in, out := bufio.NewReader(down), bufio.NewReader(up)
	for {
		commands, request, err := readBatch(in)
		if err != nil {
			return
		}
		s, f := r.redisArrives(commands, request)
		if !push(up, request, f) {
			return
		}
		var reply bytes.Buffer
		for range commands {
			if err := readValue(out, &reply); err != nil {
				return
			}
		}
		if f = r.trap.done(s); f == pass && r.cuts(cutReply) {
			f = cut
		}
		if !push(down, reply.Bytes(), f) {
			return
		}
	}
}

// redisArrives says which step a batch of commands is, and what becomes of it. The
// talk at a connection's begin is no step.
func (r *replica) redisArrives(commands [][]string, request []byte) (step, fate) {
	label := labelOf(commands)
	if strings.Contains(label, "HELLO") || strings.Contains(label, "CLIENT") {
		return step{}, pass
	}
	s, f := r.trap.arrives(label, string(request))
	if f == pass && r.cuts(cutRequest) {
		f = cut
	}
	return s, f
}

// push passes bytes on as their fate is; false ends the connection.
func push(to io.Writer, b []byte, f fate) bool {
	if f == swallow {
		return false
	}
	if f == cut {
		b = b[:len(b)/2]
	}
	_, err := to.Write(b)
	return err == nil && f == pass
}

var writtenOutcome = regexp.MustCompile(`"outcome":"([a-z_]+)"`)

// labelOf names a batch: its commands, and of a script what it writes down.
func labelOf(commands [][]string) string {
	names := make([]string, len(commands))
	for i, c := range commands {
		names[i] = strings.ToUpper(c[0])
		if !strings.HasPrefix(names[i], "EVAL") || len(c) < 2 {
			continue
		}
		names[i] += ":" + c[1][:min(6, len(c[1]))]
		if m := writtenOutcome.FindStringSubmatch(strings.Join(c, " ")); m != nil {
			names[i] = "EVAL:" + m[1]
		}
	}
	return "redis " + strings.Join(names, "+")
}

// readBatch reads commands until no more is at hand: one pipeline, or a part of it.
func readBatch(in *bufio.Reader) (commands [][]string, raw []byte, err error) {
	var all bytes.Buffer
	for len(commands) == 0 || in.Buffered() > 0 {
		from := all.Len()
		if err := readValue(in, &all); err != nil {
			return nil, nil, err
		}
		c := words(all.Bytes()[from:])
		if len(c) == 0 {
			return nil, nil, fmt.Errorf("no command: %q", all.Bytes()[from:])
		}
		commands = append(commands, c)
	}
	return commands, all.Bytes(), nil
}

// words are the strings of a command.
func words(command []byte) []string {
	var out []string
	in := bufio.NewReader(bytes.NewReader(command))
	_, _ = in.ReadBytes('\n')
	for {
		head, err := in.ReadString('\n')
		n, bad := strconv.Atoi(strings.Trim(head, "$\r\n"))
		if err != nil || bad != nil || n < 0 {
			return out
		}
		b := make([]byte, n+2)
		if _, err := io.ReadFull(in, b); err != nil {
			return out
		}
		out = append(out, string(b[:n]))
	}
}

// readValue copies one value of Redis's protocol.
func readValue(in *bufio.Reader, to *bytes.Buffer) error {
	line, err := in.ReadBytes('\n')
	if err != nil {
		return err
	}
	to.Write(line)
	n, _ := strconv.Atoi(strings.TrimSpace(string(line[1:]))) // of what has no length it is not used
	switch line[0] {
	case '$', '=', '!':
		if n < 0 {
			return nil
		}
		_, err := io.CopyN(to, in, int64(n)+2)
		return err
	case '%', '|':
		n *= 2
	case '*', '~', '>':
	default:
		return nil
	}
	for range n {
		if err := readValue(in, to); err != nil {
			return err
		}
	}
	return nil
}

// turnKey keys in a request's context whose turn it is among its kind.
type turnKey struct{}

// ServeHTTP is the replica's way to Central.
func (r *replica) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	s, f := r.trap.arrives(centralLabel(req), req.URL.String())
	if f == swallow {
		panic(http.ErrAbortHandler)
	}
	req = req.WithContext(r.crash.turn(r, req))
	if !r.trap.waits(s) {
		r.central(w, req)
		return
	}
	rec := httptest.NewRecorder()
	r.central(rec, req)
	if r.trap.done(s) == swallow {
		panic(http.ErrAbortHandler)
	}
	for k, v := range rec.Header() {
		w.Header()[k] = v
	}
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes())
}

// central is the simulator, but for the number of devices: a tenant with room for
// as many deletes as the run makes.
func (r *replica) central(w http.ResponseWriter, req *http.Request) {
	if q := req.URL.Query(); q.Get("pageTotal") != "true" || q.Get("pageSize") != "1" {
		r.crash.sim.ServeHTTP(w, req)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"items":[],"pages":{"size":1,"maxSize":500,"total":100000,"items":100000}}`)
}

var anID = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// centralLabel names a call by its method, its path, and what it asks for.
func centralLabel(req *http.Request) string {
	q := req.URL.Query()
	var asks []string
	for k := range q {
		if k == "view" {
			k += "=" + q.Get(k)
		}
		asks = append(asks, k)
	}
	slices.Sort(asks)
	label := "central " + req.Method + " " + anID.ReplaceAllString(req.URL.Path, "{id}")
	if len(asks) > 0 {
		label += "?" + strings.Join(asks, "&")
	}
	return label
}

// centralFault is one way in which Central goes wrong, each time its turn comes.
type centralFault struct {
	name string
	centralsim.Fault
}

// The faults come in turns: each strikes one request in so many of its kind.
const (
	deleteTurns = 24
	readTurns   = 90
)

// haunting comes on top: a DELETE that did nothing, and a gateway that says 404 to
// the reads that follow, as many as hauntings.
const (
	haunting  = "Central: read-back answered 404 HTML, the DELETE not applied"
	hauntings = 2
)

// htmlFault is a gateway's page in the place of Central's answer.
func htmlFault(method string, status int, applied bool) centralsim.Fault {
	return centralsim.Fault{Method: method, Status: status, ApplyAnyway: applied,
		Body: "<html><body><h1>This is a gateway's page</h1></body></html>", ContentType: "text/html"}
}

// centralFaults are those of the DELETE, and those of reads.
func centralFaults() []centralFault {
	html := htmlFault
	const del, get = http.MethodDelete, http.MethodGet
	return []centralFault{
		{"DELETE answered 500, applied", centralsim.Fault{Method: del, Status: 500, ApplyAnyway: true}},
		{"DELETE answered 500, not applied", centralsim.Fault{Method: del, Status: 500}},
		{"DELETE cut, applied", centralsim.Fault{Method: del, Drop: true, ApplyAnyway: true}},
		{"DELETE cut, not applied", centralsim.Fault{Method: del, Drop: true}},
		{"DELETE's answer cut in its middle", centralsim.Fault{Method: del, CutBody: true}},
		{"DELETE answered 429", centralsim.Fault{Method: del, Status: 429, RetryAfter: "1"}},
		{"DELETE answered 502 HTML, applied", html(del, 502, true)},
		{"DELETE answered 502 HTML, not applied", html(del, 502, false)},
		{"DELETE answered 200 HTML, not applied", html(del, 200, false)},
		{"DELETE hung, applied", centralsim.Fault{Method: del, Hang: true, ApplyAnyway: true}},
		{"DELETE hung, not applied", centralsim.Fault{Method: del, Hang: true}},
		{"read answered 429", centralsim.Fault{Method: get, Status: 429, RetryAfter: "1"}},
		{"read answered 500", centralsim.Fault{Method: get, Status: 500}},
		{"read answered 502 HTML", html(get, 502, false)},
		{"read answered 404 HTML", html(get, 404, false)},
		{"read cut in its middle", centralsim.Fault{Method: get, CutBody: true}},
		{"read hung", centralsim.Fault{Method: get, Hang: true}},
	}
}
