package httpapi

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/sync/errgroup"

	"rollcall/api"
	"rollcall/internal/action"
)

// The bounds of a batch. Many clients give up after 30 s.
const (
	mostItems  = 1000
	itemsAside = 100              // under way at once: as many as one read of Central's can name
	batchTime  = 20 * time.Second // after that Central is asked no more
	batchGrace = 4 * time.Second  // and so much later nor is the store
)

// body is an item's request, and how the action is run on it. Central is not
// asked after lookBy.
type body struct {
	message
	run func(ctx context.Context, call action.Call, lookBy time.Time) (action.Result, error)
}

func (s *server) verifyLiveBatch(x *exchange) error {
	return s.batch(x, "verify-live", func() body {
		b := &verifyLiveBody{}
		return body{b, func(ctx context.Context, call action.Call, lookBy time.Time) (action.Result, error) {
			return s.runVerifyLive(ctx, call, b, lookBy)
		}}
	})
}

func (s *server) evaluateBatch(x *exchange) error {
	return s.batch(x, "evaluate", func() body {
		b := &evaluateBody{}
		return body{b, func(ctx context.Context, call action.Call, lookBy time.Time) (action.Result, error) {
			return s.runEvaluate(ctx, call, b, lookBy)
		}}
	})
}

// batch is the work on one batch of an action.
type batch struct {
	s      *server
	x      *exchange
	action string
	fresh  func() body
	lookBy time.Time
}

// batch takes every item through an action, some at once, and answers for each in
// its place. Whatever becomes of one, the others have their answers.
func (s *server) batch(x *exchange, name string, fresh func() body) error {
	var in batchBody
	if err := s.decodeWith(x, &in, maxBatch, parseBatch); err != nil {
		return err
	}
	b := &batch{s: s, x: x, action: name, fresh: fresh, lookBy: time.Now().Add(s.cfg.BatchTime)}
	ctx, cancel := context.WithDeadline(x.c.Request.Context(), b.lookBy.Add(batchGrace))
	defer cancel()
	items := make([]api.BatchItem, len(in.Items))
	var group errgroup.Group
	group.SetLimit(itemsAside)
	for i, raw := range in.Items {
		late := s.items.await(ctx, x.key.Name, s.cfg.Now(), time.Until(b.lookBy))
		group.Go(func() error {
			items[i] = b.answer(ctx, i, raw, late)
			return nil
		})
	}
	_ = group.Wait() // no item's error is the batch's
	x.items = len(items)
	return x.ok(api.BatchAnswer{
		Action: name, RequestID: x.requestID, Count: len(items), Items: items, OldestFirst: oldestFirst(items),
	})
}

// answer is what stands in an item's place. refused is why it may not even be
// looked at.
func (b *batch) answer(ctx context.Context, i int, raw json.RawMessage, refused error) (out api.BatchItem) {
	call := b.x.call()
	call.RequestID = fmt.Sprintf("%s.%d", b.x.requestID, i)
	if !fitRequestID(call.RequestID) {
		call.RequestID = b.x.requestID
	}
	defer func() {
		if p := recover(); p != nil { // here nobody else would catch it
			out = b.unanswered(call.RequestID, fmt.Errorf("panic: %v", p), string(debug.Stack()))
		}
		b.s.metrics.outcome(b.action, out.Outcome, codeOfItem(out))
	}()
	err := refused
	var res action.Result
	if err == nil {
		res, err = b.run(ctx, &call, raw)
	}
	if err != nil {
		return b.unanswered(call.RequestID, err, "")
	}
	return api.BatchItem{Answer: answer(res)}
}

// run reads an item as the action alone reads its request, and takes it through.
func (b *batch) run(ctx context.Context, call *action.Call, raw json.RawMessage) (action.Result, error) {
	if len(raw) > maxBody {
		return action.Result{}, refuse(errTooLarge, "the item is larger than 1 MiB")
	}
	in := b.fresh()
	found, err := parse(raw, in)
	if id := in.named(); id != "" {
		call.RequestID = id
	}
	if err == nil {
		err = b.s.check(in.message, found)
	}
	if err != nil {
		return action.Result{}, err
	}
	lookBy := b.lookBy
	if b.s.stopping() { // who waits for the process to end shall not wait for Central
		lookBy = time.Now()
	}
	return in.run(ctx, *call, lookBy)
}

// unanswered stands in the place of an item that has no answer: a person must
// look, unless asking again may help. What went wrong inside is in the log alone.
func (b *batch) unanswered(id string, err error, stack string) api.BatchItem {
	e := b.x.errorBody(err, id)
	if e.Status >= 500 {
		line := b.s.cfg.Log.Error().Str("route", b.x.route.path).Str("requestId", id).Str("key", b.x.key.Name).
			Str("code", e.Code).AnErr("error", err)
		if stack != "" {
			line = line.Str("stack", stack)
		}
		line.Msg("item")
	}
	a := api.Answer{
		Action: b.action, Outcome: api.OutcomeError, Reasons: []api.Reason{}, Summary: e.Detail, Mode: b.s.cfg.Mode,
		NeedsReview: !e.Retryable, RequestID: id, PolicyVersion: b.s.cfg.PolicyVersion(),
		Retryable: e.Retryable, RetryAfterSeconds: e.RetryAfterSeconds, Next: api.NextStop,
	}
	if e.Retryable {
		a.Next = api.NextRetry
	}
	if at := stamp(b.s.cfg.Now()); at != nil {
		a.EvaluatedAt = *at
	}
	return api.BatchItem{Answer: a, Error: &e}
}

func codeOfItem(i api.BatchItem) string {
	if i.Error != nil {
		return i.Error.Code
	}
	return plain(i.ReasonCode)
}

// oldestFirst are the indexes of what may be deleted, in the order in which to
// spend a limit on it: what Central has not seen for longest comes first. Of what
// it is not known when that was, nothing is said: unknown is not old.
func oldestFirst(items []api.BatchItem) []int {
	order := []int{}
	for i, item := range items {
		if item.Outcome == api.OutcomeDelete && item.LastSeenAt != nil {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(items[a].LastSeenAt.Compare(*items[b].LastSeenAt), cmp.Compare(a, b))
	})
	return order
}

// parseBatch reads a batch's body. What is wrong within an item, but for brackets
// and quotes that don't match, is that item's fault: each is read again, strictly.
func parseBatch(text []byte, m message) (problems, error) {
	found, err := parseText(jsontext.NewDecoder(bytes.NewBuffer(text), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)), m)
	if b, ok := m.(*batchBody); ok && err == nil {
		slices.Sort(b.asked)
		if len(slices.Compact(b.asked)) < len(b.asked) {
			err = refuse(errDuplicateKey, "a key comes twice in the body")
		}
	}
	return found, err
}

// list takes the items of a batch apart.
func (f slot) list(value jsontext.Value, into *[]json.RawMessage) (problem string, err error) {
	if value.Kind() != '[' {
		return "must be a list", nil
	}
	dec := jsontext.NewDecoder(bytes.NewReader(value), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if _, err := dec.ReadToken(); err != nil {
		return "", textFault(err)
	}
	items := []json.RawMessage{}
	for dec.PeekKind() != ']' {
		item, err := dec.ReadValue()
		if err != nil {
			return "", textFault(err)
		}
		if len(items) == f.most {
			return fmt.Sprintf("has more than %d items", f.most), nil
		}
		items = append(items, bytes.Clone(item))
	}
	*into = items
	return "", nil
}
