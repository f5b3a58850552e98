// Reads the field `x-name` and answers JSON at `/hello`; every other request goes on.
package main

import "encoding/json"

type greeting struct {
	Language string `json:"language"`
	Hello    string `json:"hello"`
}

// handle runs for each request, before the cache is asked.
func handle(request Request) (*Response, error) {
	if request.PathAndQuery() != "/hello" {
		return nil, nil
	}
	name, found := request.Get("x-name")
	if !found {
		name = "world"
	}
	content, err := json.Marshal(greeting{"Go", name})
	if err != nil {
		return nil, err
	}
	response := NewResponse(200)
	if err := response.Set("content-type", "application/json"); err != nil {
		return nil, err
	}
	if err := response.SetBody(append(content, '\n')); err != nil {
		return nil, err
	}
	return response, nil
}

func main() {}
