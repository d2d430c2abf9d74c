package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// Account is an organization at Edgee, and the token for it.
type Account struct {
	HTTP         *http.Client
	Endpoint     string
	Organization string
	Token        string
}

// VendorKey is a key as the vendor shows it. Only the answer to a creation has the key itself.
type VendorKey struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Key  string `json:"key"`
}

// StatusError is an answer that is no success.
type StatusError struct {
	Method string
	Code   int
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("vendor: %s: status %d", e.Method, e.Code)
}

// Create makes a key. Each call makes another one, because names are not unique at the vendor.
func (a *Account) Create(ctx context.Context, name string) (VendorKey, error) {
	var made VendorKey
	err := a.call(ctx, http.MethodPost, "", map[string]string{"name": name, "type": "api"}, &made)
	return made, err
}

// Get shows a key.
func (a *Account) Get(ctx context.Context, id string) (VendorKey, error) {
	var shown VendorKey
	err := a.call(ctx, http.MethodGet, id, nil, &shown)
	return shown, err
}

// Rename changes the name of a key. Updates are POST at this vendor.
func (a *Account) Rename(ctx context.Context, id, name string) error {
	return a.call(ctx, http.MethodPost, id, map[string]string{"name": name}, nil)
}

// Delete revokes a key.
func (a *Account) Delete(ctx context.Context, id string) error {
	return a.call(ctx, http.MethodDelete, id, nil, nil)
}

// call sends a request about one key, or about all if id is empty, and reads the answer into result unless that is nil.
func (a *Account) call(ctx context.Context, method, id string, body, result any) error {
	address, err := url.JoinPath(a.Endpoint, "v1", "organizations", a.Organization, "api_keys", id)
	if err != nil {
		return fmt.Errorf("vendor: %w", err)
	}
	var sent io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("vendor: %w", err)
		}
		sent = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, address, sent)
	if err != nil {
		return fmt.Errorf("vendor: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+a.Token)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	answer, err := a.HTTP.Do(request)
	if err != nil {
		return fmt.Errorf("vendor: %w", err)
	}
	defer answer.Body.Close()
	// Read to the end also where nobody wants the content, so that the connection is used again.
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		return fmt.Errorf("vendor: %w", err)
	}
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return &StatusError{Method: method, Code: answer.StatusCode}
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(content, result); err != nil {
		return fmt.Errorf("vendor: %s: %w", method, err)
	}
	return nil
}
