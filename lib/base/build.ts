/** What this program was built as; tools/build replaces the values between the @. */
export const BUILD_FORM: string = "@form@";
export const BUILD_COMMIT: string = "@commit@";
