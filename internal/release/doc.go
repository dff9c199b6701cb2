// Package release puts Helm charts into the cluster and takes them out again.
//
// It is the only package that knows the Helm SDK: to everyone else it offers a small interface of
// its own (Engine) in which a release is a Spec going in and a State and a list of applied objects
// coming out. Helm renders, keeps the history and runs the hooks; the objects themselves travel by
// server-side apply under one field manager, so that the API server's managed fields say exactly
// what is ours.
//
// What the package guarantees:
//
//   - A release is Helm's: helm ls, get, history and rollback work on it.
//   - Killing the process at any moment leaves a state from which the next Apply or Uninstall
//     carries on. Nothing is ever uninstalled in order to recover.
//   - Objects of interrupted or failed revisions do not stay behind: every revision since the last
//     good one counts when deciding what to prune.
//   - Nothing that belongs to somebody else is overwritten or deleted; see ConflictError.
//   - CustomResourceDefinitions are applied first, never deleted, and never replaced by one that
//     drops a version in which objects are stored.
//   - A Namespace goes away only when the engine created it or the chart rendered it, and only
//     when nothing but the component's own objects is left in it; see Engine.Uninstall.
//   - Errors and logs carry no Secret's content.
//
// Permissions it needs, besides those for what charts contain (get, patch, create and delete of
// every kind applied, and for RBAC objects escalate and bind or the permissions themselves): all
// verbs on secrets in the releases' namespaces; get, create, patch and delete of namespaces; get,
// list, watch, create and patch of customresourcedefinitions; list and watch of jobs and pods when
// charts have such hooks; list of the kinds in inhabitants, without which namespaces stay.
package release
