package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path"

	"rollcall/api"
)

// A playbook in Go: ask for the verdict, do what it says next, and hand anything
// that is not understood to a person.
func Example() {
	srv := httptest.NewServer(http.HandlerFunc(standIn)) // in place of a rollcall
	defer srv.Close()
	c, err := api.New(srv.URL, "key", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	row := json.RawMessage(`{"central":{"id":"6f0e7b2a-3c1d-4e58-9a76-0d4b8c2f51e3"}}`)
	verdict, err := c.Evaluate(ctx, api.EvaluateRequest{Event: row})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("verdict:", verdict.Outcome)
	switch verdict.Next {
	case api.NextDelete:
		done, err := c.Delete(ctx, api.DeleteRequest{Token: *verdict.Token})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("delete:", done.Outcome)
	case api.NextStop:
	default:
		fmt.Println("ask a person")
	}
	// Output:
	// verdict: delete
	// delete: deleted
}

func standIn(w http.ResponseWriter, r *http.Request) {
	answer := `{"outcome":"delete","next":"delete","token":"v1.sealed"}`
	if path.Base(r.URL.Path) == "delete" {
		answer = `{"outcome":"deleted","next":"stop"}`
	}
	if _, err := io.WriteString(w, answer); err != nil {
		fmt.Println(err)
	}
}
