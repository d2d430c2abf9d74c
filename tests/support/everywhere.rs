//! Stories at every vendor, by the `tell_at!` of the program that runs them.

/// The same stories at every vendor.
macro_rules! everywhere {
    ($module:ident: $($story:ident),+) => {
        tell_at!(edgee Edgee $module: $($story),+);
        tell_at!(edenai_v2 EdenAiV2 $module: $($story),+);
        tell_at!(edenai_v3 EdenAiV3 $module: $($story),+);
        tell_at!(cortecs Cortecs $module: $($story),+);
        tell_at!(litellm LiteLlm $module: $($story),+);
        tell_at!(openrouter OpenRouter $module: $($story),+);
    };
}

/// Whole modules of stories at every vendor.
macro_rules! tell_everywhere {
    ($($module:ident: $($story:ident),+;)+) => {
        $(mod $module {
            everywhere!($module: $($story),+);
        })+
    };
}
