// Package v1alpha1 holds the API of NetworkStack: the NetworkStack a platform team writes and the
// NetworkComponents the operator derives from it.
// +kubebuilder:object:generate=true
// +groupName=networkstack.io
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var (
	// GroupVersion is the group and version of every type in this package.
	GroupVersion = schema.GroupVersion{Group: "networkstack.io", Version: "v1alpha1"}

	// SchemeBuilder registers the types of this package.
	SchemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

	// AddToScheme adds the types of this package to a scheme.
	AddToScheme = SchemeBuilder.AddToScheme
)

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion,
		&NetworkStack{}, &NetworkStackList{},
		&NetworkComponent{}, &NetworkComponentList{},
	)
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
